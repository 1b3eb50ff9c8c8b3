const letter = /^\p{L}$/u;
const digit = /^\p{Nd}$/u;

/** The order of keys in YAML that Go wrote: letters after everything else, runs of digits by their value. */
export function goLess(first: string, second: string): boolean {
  const a = Array.from(first);
  const b = Array.from(second);
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    const [x, y] = [a[index]!, b[index]!];
    if (x === y) {
      continue;
    }
    const letters = [letter.test(x), letter.test(y)];
    if (letters[0] === true && letters[1] === true) {
      return x.codePointAt(0)! < y.codePointAt(0)!;
    }
    if (letters[0] === true || letters[1] === true) {
      return letters[1] === true;
    }
    const [numberOfA, numberOfB] = [digitsAt(a, index), digitsAt(b, index)];
    if ((x === "0" || y === "0") && hasNonZeroDigitBefore(a, index)) {
      numberOfA.value = 1 + numberOfA.value;
      numberOfB.value = 1 + numberOfB.value;
    }
    if (numberOfA.value !== numberOfB.value) {
      return numberOfA.value < numberOfB.value;
    }
    if (numberOfA.length !== numberOfB.length) {
      return numberOfA.length < numberOfB.length;
    }
    return x.codePointAt(0)! < y.codePointAt(0)!;
  }
  return a.length < b.length;
}

function digitsAt(characters: readonly string[], from: number): { value: number; length: number } {
  let end = from;
  while (end < characters.length && digit.test(characters[end]!)) {
    end += 1;
  }
  return { value: Number(characters.slice(from, end).join("") || "0"), length: end - from };
}

function hasNonZeroDigitBefore(characters: readonly string[], from: number): boolean {
  for (let index = from - 1; index >= 0 && digit.test(characters[index]!); index--) {
    if (characters[index] !== "0") {
      return true;
    }
  }
  return false;
}
