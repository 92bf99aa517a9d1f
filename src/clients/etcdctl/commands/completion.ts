// completion: scripts that make a shell ask this program what may follow. Each calls the hidden command `__complete` (see complete.ts), so they know
// whatever the installed version knows.
import { defineCommand, ExitError, exitCodes, type Command } from '../command.ts'

const bash = `# Completion of etcdctl for bash.
_etcdctl() {
  local line directive=0 typed="\${COMP_WORDS[COMP_CWORD]}"
  local -a found=()
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :*) directive="\${line#:}" ;;
      *) found+=("$line") ;;
    esac
  done < <("\${COMP_WORDS[0]}" __completeNoDesc "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  for line in "\${found[@]}"; do
    [[ "$line" == "$typed"* ]] && COMPREPLY+=("$line")
  done
  if [[ \${#COMPREPLY[@]} -eq 0 && $directive -ne 4 ]]; then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$typed")
  fi
}
complete -F _etcdctl etcdctl
`

const zsh = `#compdef etcdctl
# Completion of etcdctl for zsh.
_etcdctl() {
  local line directive=0
  local -a found
  while IFS= read -r line; do
    case "$line" in
      :*) directive="\${line#:}" ;;
      *) found+=("\${line/$'\\t'/:}") ;;
    esac
  done < <("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then
    _describe etcdctl found
  elif [[ $directive != 4 ]]; then
    _files
  fi
}
compdef _etcdctl etcdctl
[[ "\${funcstack[1]}" = _etcdctl ]] && _etcdctl
`

const fish = `# Completion of etcdctl for fish.
function __etcdctl_candidates
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null | string match -v -r '^:\\d+$'
end
complete -c etcdctl -e
complete -c etcdctl -a '(__etcdctl_candidates)'
`

const powershell = `# Completion of etcdctl for PowerShell.
Register-ArgumentCompleter -Native -CommandName etcdctl -ScriptBlock {
  param($typed, $line, $cursor)
  $words = @($line.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($typed -eq '') { $words += '""' }
  & $line.CommandElements[0].Value __complete @words 2>$null | Where-Object { $_ -notmatch '^:\\d+$' } | ForEach-Object {
    $name, $text = $_ -split "\`t", 2
    if (-not $text) { $text = $name }
    [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $text)
  }
}
`

const scripts: { readonly [shell: string]: string } = { bash, zsh, fish, powershell }
const shells = Object.keys(scripts)

export const completionCommand: Command = defineCommand({
  use: `completion [${shells.join('|')}]`, short: 'Generate completion script', group: 'utility', plainUse: true,
  long: `Prints a script that completes etcdctl's commands and flags in a shell.

  bash:        source <(etcdctl completion bash)
  zsh:         etcdctl completion zsh > "\${fpath[1]}/_etcdctl"
  fish:        etcdctl completion fish | source
  PowerShell:  etcdctl completion powershell | Out-String | Invoke-Expression
`,
  async run(session, { args }) {
    const [shell] = args
    if (shell === undefined || args.length !== 1) throw new ExitError(exitCodes.error, `accepts 1 arg(s), received ${args.length}`, { usage: true })
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined
    if (script === undefined) throw new ExitError(exitCodes.error, `invalid argument ${JSON.stringify(shell)} for "etcdctl completion"`, { usage: true })
    session.out(script)
  },
})
