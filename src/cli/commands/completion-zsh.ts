// A dollar that stands before a brace: a template literal would take the two for its own.
const $ = "$";

/** A script for zsh, to be sourced or put into a folder of `$fpath` as `_<program>`. */
export function zshScript(program: string, ask: string): string {
  return String.raw`#compdef ${program}
# Completion for ${program} in zsh.

_${program}() {
  local answer line value description directive
  local -a candidates
  answer="$(${$}{~${$}{(Q)words[1]}} ${ask} "${$}{(@Q)words[2,CURRENT-1]}" "${$}{(Q)PREFIX}" 2>/dev/null)" || return 1
  directive="${$}{answer##*:}"
  [[ "$directive" == <-> ]] || return 1

  for line in "${$}{(@f)answer}"; do
    [[ -z "$line" || "$line" == :* ]] && continue
    value="${$}{line%%$'\t'*}"
    description="${$}{line#"$value"}"
    description="${$}{description#$'\t'}"
    value="${$}{value//:/\\:}"
    candidates+=("$value${$}{description:+:$description}")
  done

  if (( ${$}{#candidates} )); then
    _describe -t candidates candidate candidates
  elif (( (directive & 4) == 0 )); then
    compset -P '-*='
    _files
  fi
}

if [[ "${$}{funcstack[1]}" == "_${program}" ]]; then
  _${program} "$@"
elif (( ${$}{+functions[compdef]} )); then
  compdef _${program} ${program}
fi
`;
}
