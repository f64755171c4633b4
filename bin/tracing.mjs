/**
 * `node --import`: tracing for the process that is crossdock. Whatever else inherits NODE_OPTIONS goes on untouched: npm and npx, maybe
 * with an older Node, which can neither read the sources nor the packages; threads.
 */
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const HOMES = ['src/main.ts', 'dist/main.js'].map((main) => ({
  main: fileURLToPath(new URL(`../${main}`, import.meta.url)),
  tracing: new URL(`../${main.replace('main', 'tracing')}`, import.meta.url).href,
}))

const [, asked = ''] = process.argv
const started = existsSync(asked) ? realpathSync(asked) : asked
const home = HOMES.find(({ main }) => main === started)
const [major] = process.versions.node.split('.')

// For an older Node the program itself says what it needs.
if (home !== undefined && Number(major) >= 24) {
  await import(home.tracing).catch((error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    const [why] = error.message.split('\n')
    process.stderr.write(
      `crossdock: cannot trace: ${why}; install it (npm install --global @opentelemetry/sdk-node @opentelemetry/api, in a clone npm install --no-save), or take --import out of NODE_OPTIONS\n`,
    )
    process.exit(2)
  })
}
