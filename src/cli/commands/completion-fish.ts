/** A script for fish 3 and later. */
export function fishScript(program: string, ask: string): string {
  const name = `__${program.replaceAll(/\W/g, "_")}_complete`;
  return String.raw`# Completion for ${program} in fish.

function ${name}
    set -l typed (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor | string unescape)
    set -l started $typed[1]
    set -e typed[1]

    set -l answer (command $started ${ask} $typed "$current" 2>/dev/null)
    or return
    string match --quiet --regex '^:[0-9]+$' -- $answer[-1]
    or return
    set -l directive (string sub --start 2 -- $answer[-1])
    set -e answer[-1]

    if test (count $answer) -gt 0
        printf '%s\n' $answer
    else if test (math "floor($directive / 4) % 2") -eq 0
        set -l flag (string match --regex -- '^-[^=]*=' "$current")
        set -l path (string replace --regex -- '^-[^=]*=' '' "$current")
        for found in (__fish_complete_path "$path")
            printf '%s%s\n' "$flag" $found
        end
    end
end

complete --command ${program} --erase
complete --command ${program} --no-files --keep-order --arguments '(${name})'
`;
}
