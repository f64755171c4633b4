/** What `--help` says beyond the options: examples, environment, documentation; and where usage errors point. */
import type { Command } from 'commander'
import { BUILT_INS } from '../config/profiles.ts'

/** By the command's words; each line can be typed as it is. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  serve: [
    'crossdock serve --listen 0.0.0.0:5000 --data /var/lib/crossdock',
    'CROSSDOCK_CACHE__MAX_SIZE=10GiB crossdock serve --admin off --quiet',
  ],
  stage: [
    'crossdock stage alpine:3-zstd ghcr.io/team/app:2-estargz',
    'crossdock stage -f images.txt --platform linux/amd64,linux/arm64',
    'helm template my-chart | crossdock stage -f -',
    'crossdock stage alpine:3-zstd --recheck --server http://127.0.0.1:5001',
  ],
  export: [
    'crossdock export alpine:3-none ghcr.io/team/app:2-none -o images.tar.xz',
    'crossdock export -f images.txt --platform all -o images.tar.zst --split 4GiB',
    'crossdock export app:3-none -o tuesday.tar.zst --since monday.tar.zst',
  ],
  import: [
    'crossdock import images.tar.xz',
    'crossdock import monday.tar.zst tuesday.tar.zst',
    'crossdock import saved.tar --name registry.example/team/app',
  ],
  restore: [
    'crossdock restore images.tar.xz -o layout',
    'crossdock restore monday.tar.zst tuesday.tar.zst -o images.tar',
  ],
  copy: [
    'crossdock copy alpine:3-zstd registry.internal:5000/base/alpine:3',
    'crossdock copy oci:IN:1 oci:OUT:1-zstd',
  ],
  list: ['crossdock list', "crossdock list 'docker.io/library/*:3' --json"],
  remove: ['crossdock remove alpine:3', 'crossdock remove alpine:3-zstd'],
  pin: ['crossdock pin alpine:3', 'crossdock pin alpine:3-zstd'],
  unpin: ['crossdock unpin alpine:3'],
  inspect: ['crossdock inspect alpine:3-zstd', 'crossdock inspect alpine:3 --json'],
  verify: ['crossdock verify', 'crossdock verify alpine:3-zstd'],
  gc: ['crossdock gc --dry-run', 'crossdock gc', 'crossdock gc --server http://127.0.0.1:5001'],
  migrate: ['crossdock migrate --to store.yaml --dry-run', 'crossdock migrate --to store.yaml'],
  'record show': ['crossdock record show ghcr.io/team/app:1-estargz'],
  'record export': ['crossdock record export ghcr.io/team/app:1-estargz -o app.record.json'],
  'record push': [
    'crossdock record push app.record.json registry.example/records/app:1',
    'crossdock record push app.record.json registry.example/owner/app:1 --attach',
  ],
  'config check': ['crossdock config check --config crossdock.yaml'],
  'config show': ['crossdock config show'],
  'config schema': ['crossdock config schema > crossdock.schema.json'],
  'config client': [
    'crossdock config client containerd --profile zstd --address proxy.example:5000',
    'crossdock config client podman --ca authority.pem --output ./files',
  ],
  completion: [
    'source <(crossdock completion bash)',
    'crossdock completion fish > ~/.config/fish/completions/crossdock.fish',
  ],
}

/** Variables, and what each says. */
export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ['CROSSDOCK_CONFIG', 'the configuration file, where --config names none'],
  ['CROSSDOCK_...', 'any key of it: CROSSDOCK_CACHE__MAX_SIZE=10GiB is cache.maxSize'],
  ['DOCKER_CONFIG', "folder of the Docker client's configuration, for credentials of upstreams"],
  ['HTTP_PROXY, HTTPS_PROXY', 'the way to upstreams'],
  ['NO_PROXY', 'hosts of upstreams that are reached without it'],
]

const PROFILES = `Profiles (a suffix of any tag, "alpine:3-zstd"; crossdock config show lists yours as well):
  ${BUILT_INS.map(({ name }) => name).join(', ')}`

const DOCUMENTATION = `Documentation:
  man crossdock, man crossdock-export, ...   of an installed package (npm install --global)
  crossdock config schema                    every key of the configuration; config/crossdock.yaml explains them
  README.md, docs/                           of the source; README.md is in the package, too`

/** Gives every command its examples and its own line below usage errors. */
export function addHelp(program: Command): void {
  const width = Math.max(...ENVIRONMENT.map(([name]) => name.length))
  const variables = ENVIRONMENT.map(([name, what]) => `  ${name.padEnd(width)}  ${what}`)
  const environment = ['Environment:', ...variables].join('\n')
  program.addHelpText('after', `\n${PROFILES}\n\n${environment}\n\n${DOCUMENTATION}`)
  for (const command of allCommands(program)) {
    command.showHelpAfterError(helpHint(wordsOf(command)))
    const examples = examplesOf(command)
    if (examples.length === 0) continue
    const lines = examples.map((example) => `  ${example}`).join('\n')
    command.addHelpText(
      'after',
      `\nExamples:\n${lines}\n\nEnvironment, profiles and documentation: crossdock --help`,
    )
  }
}

/** Of a group of commands the first one of each. */
export function examplesOf(command: Command): readonly string[] {
  const own = EXAMPLES[wordsOf(command)] ?? []
  if (own.length > 0 || command.parent === null) return own
  return command.commands.flatMap((one) => EXAMPLES[wordsOf(one)]?.[0] ?? [])
}

/** `words`: `record show`; none for the program itself. */
export function helpHint(words: string): string {
  return words === ''
    ? '(crossdock --help lists all commands)'
    : `(crossdock ${words} --help says more)`
}

/** Commands below a command, whatever their depth, outer ones first. */
export function allCommands(command: Command): readonly Command[] {
  return command.commands.flatMap((one) => [one, ...allCommands(one)])
}

/** `record show` */
export function wordsOf(command: Command): string {
  const { parent } = command
  if (parent === null) return ''
  const outer = wordsOf(parent)
  return outer === '' ? command.name() : `${outer} ${command.name()}`
}
