/** `npm run docs`: writes the pages that follow from the code. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configurationPage } from '../src/config/manual.ts'

await writeFile(join(import.meta.dirname, 'configuration.md'), configurationPage())
