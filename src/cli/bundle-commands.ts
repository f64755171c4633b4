/** What is typed to carry images: bundles written, read and unpacked, and copies. */
import type { Command } from 'commander'
import { collect, common, gather } from './command-options.ts'
import { copyCommand } from './copy.ts'
import { type ExportOptions, exportCommand } from './export.ts'
import { importCommand } from './import.ts'
import { type RestoreOptions, restoreCommand } from './restore.ts'
import type { System } from './system.ts'

export function addBundles(
  program: Command,
  system: System,
  end: (code: number | Promise<number>) => Promise<void>,
): void {
  common(program.command('export'))
    .description('write images into one archive or folder, to carry across an air gap')
    .argument('[ref...]', 'what one would type after "docker pull", suffix included')
    .option('-f, --file <file>', 'list of images as for stage; - for stdin')
    .requiredOption('-o, --output <file|dir>', 'an archive (.tar, .tar.zst, .tar.xz) or a folder')
    .option(
      '--platform <os/arch>',
      "platform of an index to carry, or all; may be repeated; default: the host's own",
      collect,
    )
    .option('--compress <how>', 'none, zstd or xz around the whole archive; default: by extension')
    .option('--level <n>', 'level of that compression')
    .option('--threads <n>', 'threads of xz; default: one per processor')
    .option(
      '--format <format>',
      'oci, or docker for docker load alone; whole layers for other programs',
    )
    .option('--with-sources', 'carry the originals of converted images, too')
    .option(
      '--restore-digests',
      'carry originals as tars and what makes them again of these, to the last bit; forms of them are made behind the gap',
    )
    .option(
      '--since <bundle>',
      'leave out what this earlier bundle carries; may be repeated',
      gather,
    )
    .option('--split <size>', 'volumes of at most this size, with checksums')
    .option('--fail-fast', 'write nothing when one image fails, instead of a bundle of the rest')
    .option('--json', 'print JSON')
    .action(async (refs: string[], options: ExportOptions) =>
      end(exportCommand(refs, options, system)),
    )

  common(program.command('restore'))
    .description('take the originals out of bundles, to the last bit, without a server')
    .argument('<bundle...>', 'a bundle, and those before it that it builds on; of volumes any one')
    .requiredOption('-o, --output <file|dir>', 'an archive (.tar, .tar.zst, .tar.xz) or a folder')
    .option('--compress <how>', 'none, zstd or xz around the whole archive; default: by extension')
    .option('--level <n>', 'level of that compression')
    .option('--threads <n>', 'threads of xz; default: one per processor')
    .option('--json', 'print JSON')
    .action(async (paths: string[], options: RestoreOptions) =>
      end(restoreCommand(paths, options, system)),
    )

  common(program.command('import'))
    .description('load bundles and what other tools exported; verified before anything is served')
    .argument('<file|dir...>', 'bundle, OCI layout, docker save or ctr export; of volumes any one')
    .option('--name <name>', 'repository of images that carry no name; default: localhost/FILE')
    .option('--json', 'print JSON')
    .action(async (paths: string[], options) => end(importCommand(paths, options, system)))

  common(program.command('copy'))
    .description('copy an image, converted if asked, to another registry or a local layout')
    .argument(
      '<ref>',
      'an image, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]',
    )
    .argument('<dest>', 'HOST/NAME:TAG, or a layout or archive as above; a profile suffix converts')
    .option(
      '--platform <os/arch>',
      'platform of an index to convert and copy, or all; may be repeated; default: the index as pullers get it, with all that it names',
      collect,
    )
    .option('--json', 'print JSON')
    .action(async (ref: string, dest: string, options) =>
      end(copyCommand(ref, dest, options, system)),
    )
}
