/** `node docs/man-pages.ts [FOLDER]`: writes the pages for man(1), into dist/man unless told otherwise; npm packs those. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { manPages } from '../src/cli/man.ts'
import { createProgram } from '../src/cli/program.ts'
import { systemSurroundings } from '../src/cli/system.ts'
import { readVersion } from '../src/cli/version.ts'

const folder = process.argv[2] ?? join(import.meta.dirname, '../dist/man')

await mkdir(folder, { recursive: true })
for (const { file, text } of manPages(createProgram(systemSurroundings(process)), readVersion())) {
  await writeFile(join(folder, file), text)
}
