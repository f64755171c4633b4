import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../../src/config/load.ts'
import { configSchema } from '../../../src/config/schema.ts'
import type { SchemaNode } from '../../../src/config/schema-node.ts'

const FOLDER = join(import.meta.dirname, '../../../config')
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))

describe('the examples in config/', () => {
  it.each(FILES)('loads %s', async (name) => {
    const { config } = await loadConfig({ file: join(FOLDER, name), env: {}, cwd: '/nowhere' })

    expect(config.listen.length).toBeGreaterThan(0)
  })

  it('shows every key of the schema in crossdock.yaml, set or commented out', () => {
    const text = readFileSync(join(FOLDER, 'crossdock.yaml'), 'utf8')

    const missing = keysOf(configSchema()).filter(
      (key) => !new RegExp(`^[\\s#-]*${key}:`, 'm').test(text) && !text.includes(` ${key}: `),
    )

    expect(missing).toEqual([])
  })

  it('names the defaults that really apply', async () => {
    const text = readFileSync(join(FOLDER, 'crossdock.yaml'), 'utf8')
    const shown = parse(text) as Record<string, Record<string, unknown>>
    const load = (env: Record<string, string>) =>
      loadConfig({ env, cwd: '/nowhere', systemFile: '/nowhere/at/all', arch: 'x64' })
    const byDefault = (await load({})).config
    const sections = ['cache', 'convert', 'limits', 'log'] as const

    const asShown = (
      await load(
        Object.fromEntries(
          sections.flatMap((section) =>
            Object.entries(shown[section] ?? {}).map(([key, value]) => [
              `CROSSDOCK_${section.toUpperCase()}__${key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`,
              typeof value === 'object' ? JSON.stringify(value) : String(value),
            ]),
          ),
        ),
      )
    ).config

    for (const section of sections) expect(asShown[section]).toEqual(byDefault[section])
  })
})

function keysOf(node: SchemaNode): string[] {
  const own = Object.keys(node.properties ?? {})
  const below = [
    ...Object.values(node.properties ?? {}),
    ...(node.items ? [node.items] : []),
    ...(typeof node.additionalProperties === 'object' ? [node.additionalProperties] : []),
  ]
  return [...own, ...below.flatMap(keysOf)]
}
