// PowerShell escapes with what ends a template literal.
const tick = "`";

/** A script for Windows PowerShell 5.1 and PowerShell 7. */
export function powershellScript(program: string, ask: string): string {
  return String.raw`# Completion for ${program} in PowerShell.

Register-ArgumentCompleter -Native -CommandName '${program}', '${program}.exe' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $typed = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object {
            if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
        })
    $started = $typed[0]
    $words = @($typed | Select-Object -Skip 1)
    if ($wordToComplete -eq '') {
        # Before 7.3 an empty argument is lost on its way to a program.
        $words += if ($PSVersionTable.PSVersion -ge [version]'7.3') { '' } else { '""' }
    }

    $answer = @(& $started ${ask} @words 2>$null)
    if ($answer.Count -eq 0 -or $answer[-1] -notmatch '^:(\d+)$') { return }
    $directive = [int]$Matches[1]
    $candidates = @($answer | Select-Object -SkipLast 1)

    if ($candidates.Count -eq 0) {
        # Nothing at all lets PowerShell offer files; an empty text keeps it from that.
        if ($directive -band 4) { '' }
        return
    }
    foreach ($line in $candidates) {
        $value, $description = $line -split "${tick}t", 2
        if (-not $description) { $description = $value }
        $text = if ($value -match '[\s''"${tick}$;,(){}|&<>@#]') { "'" + $value.Replace("'", "''") + "'" } else { $value }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $description)
    }
}
`;
}
