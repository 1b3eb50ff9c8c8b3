// A dollar that stands before a brace: a template literal would take the two for its own.
const $ = "$";

/** A script for bash 3.2 and later that needs no other; `program` is a name that is safe in scripts, `ask` the command that knows what may come next. */
export function bashScript(program: string, ask: string): string {
  const name = `_${program.replaceAll(/\W/g, "_")}_complete`;
  return String.raw`# Completion for ${program} in bash.

${name}() {
  # Bash cuts words at "=" and ":"; what no blank parts is one word again.
  local rest="${$}{COMP_LINE:0:COMP_POINT}" piece="" blank index
  local -a typed
  for ((index = 0; index <= COMP_CWORD; index++)); do
    blank="${$}{rest%%[![:space:]]*}"
    rest="${$}{rest#"$blank"}"
    piece="${$}{COMP_WORDS[index]}"
    [[ "$rest" == "$piece"* ]] || piece="$rest"
    rest="${$}{rest#"$piece"}"
    if ((index == 0)) || [[ -n "$blank" ]]; then
      typed+=("$piece")
    else
      typed[${$}{#typed[@]}-1]+="$piece"
    fi
  done

  # Only the last piece is replaced, and a sign that cuts belongs to none.
  local current="${$}{typed[${$}{#typed[@]}-1]}"
  [[ "$piece" == [=:] ]] && piece=""
  local settled="${$}{current%"$piece"}"

  local answer
  answer="$("${$}{typed[0]/#\~/$HOME}" ${ask} "${$}{typed[@]:1}" 2>/dev/null)" || return
  local directive="${$}{answer##*:}"
  [[ "$directive" =~ ^[0-9]+$ ]] || return

  COMPREPLY=()
  local line value description width=0
  local -a values descriptions
  while IFS= read -r line; do
    [[ "$line" == :* || -z "$line" ]] && continue
    value="${$}{line%%$'\t'*}"
    description="${$}{line#"$value"}"
    values+=("${$}{value#"$settled"}")
    descriptions+=("${$}{description#$'\t'}")
    ((${$}{#value} > width)) && width=${$}{#value}
  done <<<"$answer"

  if ((${$}{#values[@]} == 0)); then
    if (((directive & 4) == 0)); then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do
        COMPREPLY+=("$line")
      done < <(compgen -f -- "$piece")
    fi
    return
  fi
  for index in "${$}{!values[@]}"; do
    value="${$}{values[index]}"
    # Descriptions only where a list is shown: they must never be typed.
    if ((${$}{#values[@]} > 1)) && [[ -n "${$}{descriptions[index]}" && "$COMP_TYPE" =~ ^(33|63|64)$ ]]; then
      printf -v value "%-*s (%s)" "$width" "$value" "${$}{descriptions[index]}"
      COMPREPLY+=("$value")
    else
      printf -v value "%q" "$value"
      COMPREPLY+=("$value")
    fi
  done
}

complete -F ${name} ${program}
`;
}
