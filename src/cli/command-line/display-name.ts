/** How people call the program: kubectl starts `kubectl-lanyard` for `kubectl lanyard`; every other name stands for `lanyard`. */
export function displayName(programName: string): string {
  const name = programName.replace(/\.exe$/i, "");
  return name.startsWith("kubectl-") ? `kubectl ${name.slice("kubectl-".length)}` : "lanyard";
}
