/** Pages for man(1), one for the program and one for each command, made from what `--help` is made of. */
import type { Argument, Command, Option } from 'commander'
import { BUILT_INS } from '../config/profiles.ts'
import { allCommands, ENVIRONMENT, examplesOf, wordsOf } from './help.ts'

export interface ManPage {
  /** `crossdock-record-show.1` */
  readonly file: string
  /** In roff with the macros of man(7). */
  readonly text: string
}

const EXIT_CODES = [
  ['0', 'it worked'],
  ['1', 'it failed, or a part of it'],
  ['2', 'the command line or the configuration cannot be used'],
] as const

const FILES = [
  ['./crossdock.yaml, /etc/crossdock/crossdock.yaml', 'the configuration, where nothing names one'],
  ['./data', 'blobs and catalog, where nothing names another folder'],
] as const

export function manPages(program: Command, version: string): readonly ManPage[] {
  const commands = allCommands(program)
  const pages = [program, ...commands].map((command) => ({
    file: `${nameOf(command)}.1`,
    text: pageOf(command, commands, version),
  }))
  return pages
}

function pageOf(command: Command, all: readonly Command[], version: string): string {
  const isProgram = command.parent === null
  const options = command.options.filter(({ hidden }) => !hidden)
  const others = isProgram
    ? all
    : [...(command.parent ? [command.parent] : []), ...command.commands]
  return [
    `.TH ${nameOf(command).toUpperCase()} 1 "" "crossdock ${version}" "crossdock"`,
    section('NAME', [
      `${roff(nameOf(command))} \\- ${roff(command.description().replace(/\.$/, ''))}`,
    ]),
    section('SYNOPSIS', [
      `.B ${roff(['crossdock', wordsOf(command)].join(' ').trim())}`,
      usageOf(command),
    ]),
    section('DESCRIPTION', [roff(sentence(command.description()))]),
    section(
      'COMMANDS',
      command.commands.flatMap((one) => entry(one.name(), one.description())),
    ),
    section('ARGUMENTS', command.registeredArguments.flatMap(argumentEntry)),
    section('OPTIONS', options.flatMap(optionEntry)),
    section('EXAMPLES', exampleLines(command)),
    ...(isProgram ? programSections() : []),
    section(
      'EXIT STATUS',
      EXIT_CODES.flatMap(([code, what]) => entry(code, what)),
    ),
    section('SEE ALSO', [others.map((one) => reference(nameOf(one))).join(',\n')]),
  ]
    .filter((text) => text !== '')
    .join('\n')
    .concat('\n')
}

function programSections(): string[] {
  const names = BUILT_INS.map(({ name }) => name)
  return [
    section('PROFILES', [
      roff(
        `A profile's name behind a tag and a hyphen says the form of the layers: alpine:3-zstd. Built in are ${names.join(', ')}; the configuration may name more (crossdock config show).`,
      ),
    ]),
    section(
      'ENVIRONMENT',
      ENVIRONMENT.flatMap(([name, what]) => entry(name, what)),
    ),
    section(
      'FILES',
      FILES.flatMap(([path, what]) => entry(path, what)),
    ),
  ]
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : [`.SH ${title}`, ...lines].join('\n')
}

/** As commander says it: `[options] [ref...]`. */
function usageOf(command: Command): string {
  return `\\fR${roff(command.usage())}`
}

function argumentEntry(argument: Argument): string[] {
  const { required, variadic, argChoices, description } = argument
  const name = `${argument.name()}${variadic ? '...' : ''}`
  const choices = argChoices === undefined ? '' : `; one of ${argChoices.join(', ')}`
  return entry(required ? name : `[${name}]`, `${description}${choices}`)
}

function optionEntry({ flags, description, defaultValue }: Option): string[] {
  const byDefault = defaultValue === undefined ? '' : ` (default: ${String(defaultValue)})`
  return entry(flags, `${description}${byDefault}`)
}

function entry(term: string, text: string): string[] {
  return ['.TP', `\\fB${roff(term)}\\fR`, roff(text)]
}

function exampleLines(command: Command): string[] {
  const examples = examplesOf(command)
  return examples.length === 0 ? [] : ['.EX', ...examples.map(roff), '.EE']
}

/** `crossdock-record-show` */
function nameOf(command: Command): string {
  return ['crossdock', ...wordsOf(command).split(' ').filter(Boolean)].join('-')
}

function reference(name: string): string {
  return `\\fB${roff(name)}\\fR(1)`
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1)
  return first.endsWith('.') ? first : `${first}.`
}

/** Hyphens as they are typed, and no line that a macro could be seen in. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&')
}
