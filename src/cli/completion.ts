/** `crossdock completion bash|zsh|fish`: a script for the shell that knows every command, option and choice, made from the program itself. */
import type { Argument, Command, Option } from 'commander'
import { allCommands, wordsOf } from './help.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof SHELLS)[number]

/** Where something may be typed: behind which words, and what. */
interface Spot {
  /** `record show` */
  readonly words: string
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly {
    readonly long: string
    readonly short: string | undefined
    readonly about: string
    readonly takesValue: boolean
  }[]
  readonly choices: readonly string[]
}

export function completionScript(shell: Shell, program: Command): string {
  const spots = [program, ...allCommands(program)].map(spotOf)
  if (shell === 'fish') return fishScript(spots)
  const script = bashScript(spots)
  // zsh runs bash's by its own emulation.
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`
}

function spotOf(command: Command): Spot {
  const about = ({ description }: Option | Argument) => description
  return {
    words: wordsOf(command),
    commands: command.commands.map((one) => ({ name: one.name(), about: one.description() })),
    options: command.options.map((option) => ({
      long: option.long ?? '',
      short: option.short,
      about: about(option),
      takesValue: option.required || option.optional,
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  }
}

/** Names of files wherever no word of ours fits: nearly every value is one. */
function bashScript(spots: readonly Spot[]): string {
  const cases = spots.map(({ words, commands, options, choices }) => {
    const offered = [
      ...commands.map(({ name }) => name),
      ...choices,
      ...options.flatMap(({ long, short }) => [long, ...(short === undefined ? [] : [short])]),
      '--help',
    ]
    return `    '${words}') words='${offered.join(' ')}' ;;`
  })
  const known = spots.flatMap(({ words }) => (words === '' ? [] : [`'${words}'`])).join('|')
  return `# crossdock completion bash
_crossdock() {
  local current=\${COMP_WORDS[COMP_CWORD]} spot='' word words='' next i
  for ((i = 1; i < COMP_CWORD; i += 1)); do
    word=\${COMP_WORDS[i]}
    next="\${spot:+$spot }$word"
    case "$next" in
    ${known}) spot=$next ;;
    esac
  done
  case "$spot" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -o bashdefault -F _crossdock crossdock
`
}

function fishScript(spots: readonly Spot[]): string {
  const lines = spots.flatMap(({ words, commands, options, choices }) => {
    const names = commands.map(({ name }) => name)
    const seen = words
      .split(' ')
      .filter(Boolean)
      .map((word) => `__fish_seen_subcommand_from ${word}`)
    const inner = names.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names.join(' ')}`]
    const at = quote([...seen, ...inner].join('; and '))
    const begin = at === "''" ? 'complete -c crossdock' : `complete -c crossdock -n ${at}`
    return [
      ...commands.map(({ name, about }) => `${begin} -f -a ${name} -d ${quote(about)}`),
      ...choices.map((choice) => `${begin} -f -a ${choice}`),
      ...options.map(({ long, short, about, takesValue }) => {
        const names = `-l ${long.slice(2)}${short === undefined ? '' : ` -s ${short.slice(1)}`}`
        return `${begin} ${names}${takesValue ? ' -r' : ''} -d ${quote(about)}`
      }),
    ]
  })
  return `# crossdock completion fish\n${lines.join('\n')}\n`
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}
