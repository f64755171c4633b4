/** Reads the certificates that listeners name, so that a wrong one is told as what it is, and before anything is served. */
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { ConfigError, type PlaceOf, type Problem, problemLine } from './problem.ts'
import type { Config } from './schema.ts'

type FileKey = 'cert' | 'key' | 'clientCa'

/** Throws ConfigError with every file that cannot be used, and with keys that are not those of their certificates. */
export async function checkListenerFiles(
  { listen }: Pick<Config, 'listen'>,
  placeOf: PlaceOf,
): Promise<void> {
  const problems: Problem[] = []
  for (const [i, { tls }] of listen.entries()) {
    if (tls === undefined) continue
    const read = async (key: FileKey) => {
      const path = tls[key]
      if (path === undefined) return undefined
      return await readFile(path).catch((error: Error) => {
        const text = `cannot read the file: ${error.message}`
        problems.push({ path: ['listen', i, 'tls', key], text })
        return undefined
      })
    }
    const [cert, key, ca] = [await read('cert'), await read('key'), await read('clientCa')]
    if (cert === undefined || key === undefined) continue
    try {
      createSecureContext({ cert, key, ca })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const text = `${tls.cert} and ${tls.key} cannot be used together: ${why}`
      problems.push({ path: ['listen', i, 'tls'], text })
    }
  }
  if (problems.length > 0) throw new ConfigError(problems.map((one) => problemLine(one, placeOf)))
}
