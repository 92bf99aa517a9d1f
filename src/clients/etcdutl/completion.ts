// Scripts that let shells complete etcdutl's commands and flags: made of the same data as its help.
import { childrenOf, commands, globalFlags, shells, type Command } from './commands.ts'

export type Shell = (typeof shells)[number]

export function isShell(text: string): text is Shell { return shells.some((shell) => shell === text) }

export function completionScript(shell: Shell): string {
  switch (shell) {
    case 'bash': return bash
    case 'zsh': return `#compdef etcdutl\nautoload -U +X bashcompinit && bashcompinit\n${bash}`
    case 'fish': return fish
    case 'powershell': return powershell
  }
}

/** What may follow the command's name. */
function wordsAfter(command: Command): readonly string[] {
  const own = command.path.at(-1) === 'completion' ? shells : childrenOf(command).map(({ path }) => path.at(-1) ?? '')
  return [...own, ...[...Object.keys(command.flags), ...Object.keys(globalFlags), 'help'].map((name) => `--${name}`)]
}

const inner = commands.filter(({ path }) => path.length > 1).toSorted((a, b) => b.path.length - a.path.length)

const bash = `# bash completion for etcdutl
_etcdutl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || line+=" $word"
  done
  local words=${JSON.stringify(wordsAfter(commands[0] ?? inner[0]!).join(' '))}
  case "$line" in
${inner.map((command) => `    ${JSON.stringify(` ${command.path.slice(1).join(' ')}`)}*) words=${JSON.stringify(wordsAfter(command).join(' '))} ;;\n`).join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -gt 0 || $current == -* ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _etcdutl etcdutl
`

function quote(text: string): string { return `'${text.replaceAll("'", "\\'")}'` }

const fish = `# fish completion for etcdutl
${commands.flatMap((command) => {
  const [, first, second] = command.path
  const seen = second ? `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}` : first ? `__fish_seen_subcommand_from ${first}` : '__fish_use_subcommand'
  return [
    ...childrenOf(command).map((child) => `complete -c etcdutl -f -n ${quote(seen)} -a ${quote(child.path.at(-1) ?? '')} -d ${quote(child.short)}`),
    ...Object.entries(command.flags).map(([name, { usage }]) => `complete -c etcdutl -n ${quote(seen)} -l ${name} -d ${quote(usage)}`),
  ]
}).join('\n')}
complete -c etcdutl -f -n '__fish_seen_subcommand_from completion' -a ${quote(shells.join(' '))}
${Object.entries(globalFlags).map(([name, { usage }]) => `complete -c etcdutl -l ${name} -d ${quote(usage)}`).join('\n')}
`

const powershell = `# powershell completion for etcdutl
Register-ArgumentCompleter -Native -CommandName 'etcdutl' -ScriptBlock {
  param($WordToComplete, $CommandAst, $CursorPosition)
  $line = ($CommandAst.CommandElements | Select-Object -Skip 1 | Where-Object { "$_" -notlike '-*' -and "$_" -ne $WordToComplete }) -join ' '
  $words = @{
${[...commands].map((command) => `    '${command.path.slice(1).join(' ')}' = @(${wordsAfter(command).map((word) => `'${word}'`).join(', ')})\n`).join('')}  }[$line]
  $words | Where-Object { $_ -like "$WordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
}
`
