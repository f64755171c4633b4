/** The reference vectors of the lazy formats, which lie beside the clone; tests that need them are skipped where they do not. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'
import { SHARED } from './fixtures.ts'

const VECTORS = join(SHARED, 'reference', 'vectors')

export function readVector(path: string): Buffer {
  return readFileSync(join(VECTORS, path))
}

export function readVectorJson<T>(path: string): T {
  return JSON.parse(readVector(path).toString()) as T
}

export function describeWithVectors(name: string, body: () => void): void {
  if (existsSync(join(VECTORS, 'expected.json'))) {
    describe(name, body)
    return
  }
  console.warn(`skipped "${name}": ${VECTORS} is not there`)
  describe.skip(name, body)
}
