/** The command line: every command with its options, and one place that turns outcomes into exit codes. */
import { Argument, Command, CommanderError, InvalidArgumentError } from 'commander'
import { ConfigError } from '../config/problem.ts'
import { CLIENTS } from '../setup/clients.ts'
import { addBundles } from './bundle-commands.ts'
import { type ClientOptions, clientCommand } from './client-command.ts'
import { completionScript, SHELLS, type Shell } from './completion.ts'
import { collect, common } from './command-options.ts'
import { refuseServer, refuseUnknownCommand, withCommandFirst } from './command-words.ts'
import { checkCommand, schemaCommand, showCommand } from './config-commands.ts'
import { gcCommand } from './gc.ts'
import { addHelp, helpHint, wordsOf } from './help.ts'
import { inspectCommand } from './inspect.ts'
import { listCommand } from './list.ts'
import { type MigrateOptions, migrateCommand } from './migrate.ts'
import { complain, describeError, EXIT, UsageError } from './output.ts'
import { pinCommand, unpinCommand } from './pin.ts'
import { recordExportCommand, recordPushCommand, recordShowCommand } from './record.ts'
import { removeCommand } from './remove.ts'
import { serveCommand } from './serve.ts'
import { type CommonOptions, loadFor } from './session.ts'
import { stageCommand } from './stage.ts'
import type { System } from './system.ts'
import { verifyCommand } from './verify.ts'
import { readVersion } from './version.ts'

/** Resolves with the exit code; never rejects. */
export async function run(args: readonly string[], system: System): Promise<number> {
  const outcome: Outcome = { code: EXIT.ok, words: '' }
  try {
    const program = createProgram(system, outcome)
    const ordered = withCommandFirst(args)
    refuseUnknownCommand(ordered, program)
    refuseServer(ordered)
    await program.parseAsync([...ordered], { from: 'user' })
    return outcome.code
  } catch (error) {
    return report(error, outcome, system)
  }
}

interface Outcome {
  code: number
  /** Of the command that was understood: `record show`. */
  words: string
}

function report(error: unknown, { words }: Outcome, { output, env }: System): number {
  // Commander has said it all by then.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof ConfigError) {
    complain(output, ['the configuration cannot be used', ...error.problems].join('\n'))
    return EXIT.usage
  }
  const isDebug = /^(?:debug|trace)$/.test(env.CROSSDOCK_LOG__LEVEL ?? '')
  complain(output, describeError(error, isDebug))
  if (!(error instanceof UsageError)) return EXIT.failed
  output.err(`${helpHint(words)}\n`)
  return EXIT.usage
}

/** What is typed and what it does; `outcome` is told how it went. */
export function createProgram(
  system: System,
  outcome: Outcome = { code: EXIT.ok, words: '' },
): Command {
  const { output } = system
  const program = new Command('crossdock')
    .description(
      'Pulls any image from any registry and hands it out in the layer format you ask for.',
    )
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.out(text),
      writeErr: (text) => output.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'crossdock: ')),
    })
    .showHelpAfterError(helpHint(''))
    .hook('preAction', (_, command) => {
      outcome.words = wordsOf(command)
      // A server is ended in order at any moment.
      if (command.name() !== 'serve') system.needsNoSignals()
    })
  const end = async (code: number | Promise<number>) => {
    outcome.code = await code
  }

  common(program.command('serve', { isDefault: true }))
    .description('serve registries; the default command')
    .option(
      '--listen <host:port>',
      'address to serve on; replaces the listeners of the configuration',
    )
    .option('--admin <host:port|off>', 'address of metrics and admin API')
    .option('--quiet', 'print nothing but the log')
    .action(async (options: CommonOptions) => end(serveCommand(options, system)))

  served(program.command('stage'))
    .description('pull and convert ahead, so that the first puller waits for nothing')
    .argument('[ref...]', 'what one would type after "docker pull", suffix included')
    .option(
      '-f, --file <file>',
      'list of one REF a line, Kubernetes manifests, Compose file or rendered chart; - for stdin',
    )
    .option(
      '--platform <os/arch>',
      'platform of an index to stage, or all; may be repeated',
      collect,
    )
    .option('--jobs <n>', 'images at a time', parseCount, 2)
    .option(
      '--recheck',
      'ask upstream first whether tags have moved, however short ago it was asked',
    )
    .option('--again', 'make conversions once more and compare: what differs is replaced')
    .option('--fail-fast', 'stop at the first image that fails instead of going on with the rest')
    .option('--json', 'print what was staged as JSON')
    .action(async (refs: string[], options) => end(stageCommand(refs, options, system)))

  addBundles(program, system, end)

  common(program.command('list'))
    .description('list what is in the store: names, profiles, sizes, last use')
    .argument('[glob]', 'pattern over UPSTREAM/REPOSITORY:TAG; * within a component, ** across')
    .option('--json', 'print JSON')
    .action(async (glob: string | undefined, options) => end(listCommand(glob, options, system)))

  served(program.command('remove'))
    .description('forget names; the next garbage collection takes what only they held')
    .argument('<ref...>', 'a name with tag; with suffix, its conversion alone')
    .option('--json', 'print JSON')
    .action(async (refs: string[], options) => end(removeCommand(refs, options, system)))

  for (const [name, command, what] of [
    ['pin', pinCommand, 'keep images in the store, whatever its budget says'],
    ['unpin', unpinCommand, 'let pinned images be evicted again'],
  ] as const) {
    served(program.command(name))
      .description(what)
      .argument('<ref...>', 'name with tag or digest; with a suffix, its conversion')
      .option('--json', 'print JSON')
      .action(async (refs: string[], options) => end(command(refs, options, system)))
  }

  common(program.command('inspect'))
    .description('show what an image is: digests of source and conversions, sizes per profile')
    .argument('<ref>', 'name with tag or digest, of a source or of a conversion')
    .option('--json', 'print JSON')
    .action(async (ref: string, options) => end(inspectCommand(ref, options, system)))

  addUpkeep(program, system, end)
  addRecords(program, system, end)
  addConfig(program, system, end)
  addCompletion(program, system)
  addHelp(program)
  return program
}

function addUpkeep(
  program: Command,
  system: System,
  end: (code: number | Promise<number>) => Promise<void>,
): void {
  served(program.command('verify'))
    .description('hash what is stored, check what it unpacks to, and heal what is wrong')
    .argument('[ref]', 'an image; without it everything')
    .option('--all', 'everything; the default')
    .option('--json', 'print JSON')
    .action(async (ref: string | undefined, options) => end(verifyCommand(ref, options, system)))

  served(program.command('gc'))
    .description('evict to the budget and sweep what nothing needs')
    .option('--dry-run', 'explain what would go and why, and touch nothing')
    .option('--json', 'print JSON')
    .action(async (options) => end(gcCommand(options, system)))

  common(program.command('migrate'))
    .description('move an embedded store to PostgreSQL and S3, while it is served')
    .requiredOption('--to <file>', 'configuration whose "store" says where to')
    .option('--dry-run', 'say how much would be copied, and change nothing')
    .option('--json', 'print JSON')
    .action(async (options: MigrateOptions) => end(migrateCommand(options, system)))
}

function addRecords(
  program: Command,
  system: System,
  end: (code: number | Promise<number>) => Promise<void>,
): void {
  const record = program
    .command('record')
    .description('priority lists of lazy images: which files come first in their layers')
  const withPlatform = (command: Command) =>
    common(command)
      .option('--platform <os/arch>', "image of an index to look at; default: the host's own")
      .option('--json', 'print JSON')
  withPlatform(record.command('show'))
    .description('list the files that come first, per layer')
    .argument(
      '<ref>',
      'an eStargz image (with suffix: a conversion, made if need be), or a record image',
    )
    .action(async (ref: string, options) => end(recordShowCommand(ref, options, system)))
  withPlatform(record.command('export'))
    .description('write them into a record file, as stargz-snapshotter writes it')
    .argument(
      '<ref>',
      'an eStargz image (with suffix: a conversion, made if need be), or a record image',
    )
    .requiredOption('-o, --output <file>', 'the file; - for standard output')
    .action(async (ref: string, options) => end(recordExportCommand(ref, options, system)))
  withPlatform(record.command('push'))
    .description('push a record image, which profiles, rules and other tools can name')
    .argument('<ref>', 'where the list is from: an image as above, or a record FILE')
    .argument('<target>', 'HOST/NAME:TAG')
    .option('--attach', 'TARGET is the image that gets the record as a referrer')
    .action(async (ref: string, target: string, options) =>
      end(recordPushCommand(ref, target, options, system)),
    )
}

function addConfig(
  program: Command,
  system: System,
  end: (code: number | Promise<number>) => Promise<void>,
): void {
  const config = program
    .command('config')
    .description('check and show the configuration, set up clients')
  common(config.command('check'))
    .description('check the configuration, references and files included')
    .option('--json', 'print JSON')
    .action(async (options: CommonOptions) => end(checkCommand(options, system)))
  common(config.command('show'))
    .description('print the configuration in force, secrets hidden, and where it comes from')
    .option('--json', 'print JSON')
    .action(async (options) => end(showCommand(options, system)))
  common(config.command('schema'))
    .description('print the JSON schema of the configuration file')
    .action(async () => end(schemaCommand(system)))
  common(config.command('client'))
    .description('print how to set up a client for this server, or write its files')
    .addArgument(new Argument('<client>', 'what pulls').choices(CLIENTS))
    .option(
      '--profile <name>',
      "profile that the client gets; default: zstd, for a lazy snapshotter its own format's",
    )
    .option(
      '--address <host:port>',
      'how the client reaches this server; default: its first listener, by a name or address of this machine',
    )
    .option('--ca <file>', 'PEM file of the authority that the client is to trust')
    .option('-o, --output <dir>', 'write the files below this folder instead of printing them')
    .option('--force', 'also where a file is there that says something else')
    .action(async (client: string, options: CommonOptions & ClientOptions) => {
      const { config: loaded } = await loadFor(options, system)
      await end(clientCommand(client, loaded, options, system))
    })
}

function addCompletion(program: Command, system: System): void {
  program
    .command('completion')
    .description('print a script that completes commands, options and choices in a shell')
    .addArgument(new Argument('<shell>', 'whose language it is in').choices(SHELLS))
    .action((shell: Shell) => system.output.out(completionScript(shell, program)))
}

/** For what a running server can do as well. */
function served(command: Command): Command {
  return common(command).option(
    '--server <url>',
    'have a running server do it: URL of its admin listener, e.g. http://127.0.0.1:5001',
  )
}

function parseCount(value: string): number {
  const count = Number(value)
  if (Number.isInteger(count) && count >= 1 && count <= 64) return count
  throw new InvalidArgumentError('must be a whole number from 1 to 64')
}
