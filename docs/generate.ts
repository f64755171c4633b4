/** `npm run docs`: writes what follows from the code: the page of the configuration, and the schema of the chart's values. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configurationPage } from '../src/config/manual.ts'
import { chartSchema } from './chart-schema.ts'

const CHART = join(import.meta.dirname, '../deploy/helm/crossdock')

await writeFile(join(import.meta.dirname, 'configuration.md'), configurationPage())
await writeFile(join(CHART, 'values.schema.json'), `${JSON.stringify(chartSchema(), null, 2)}\n`)
