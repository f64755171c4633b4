/** What the mutator has found, kept as inputs to the targets that found it. */
import { describe, expect, it } from 'vitest'
import { CrossdockError } from '../../src/errors.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { isForeseen } from '../helpers/fuzz-target.ts'
import { FUZZ_TARGETS } from '../helpers/fuzz-targets.ts'

const DIGEST = digestOf(Buffer.from('x'))

/** Target, what was wrong, and the seed of the target changed like this. */
const FOUND: readonly [string, string, (seed: string) => string][] = [
  [
    'docker-archive',
    'names that are no texts were a TypeError',
    (seed) => seed.replace('"RepoTags":["alpine:3"]', '"RepoTags":[true]'),
  ],
  [
    'docker-archive',
    'names that are no list were a TypeError',
    (seed) => seed.replace('"RepoTags":["alpine:3"]', '"RepoTags":{"length":1}'),
  ],
  [
    'bundle.json',
    'a layer without options was imported, and every later pull of the image was 500',
    (seed) => seed.replace(/"options": "\{[^}]*\}",/, ''),
  ],
  [
    'bundle.json',
    'so was a recipe that is no JSON',
    (seed) => seed.replace(/"recipe": "(?:[^"\\]|\\.)*"/, '"recipe": "zstd"'),
  ],
  [
    'bundle.json',
    'tags were imported that nobody can ask for',
    (seed) => seed.replace('"tags": [\n        "1"', '"tags": [\n        "../1"'),
  ],
  [
    'bundle.json',
    'so were names of repositories',
    (seed) => seed.replace('"docker.io/library/a"', '"docker.io/../a"'),
  ],
]

describe('what the mutator found', () => {
  it.each(FOUND)('in %s: %s', async (name, _, change) => {
    const target = FUZZ_TARGETS.find((one) => one.name === name)
    const seed = String(target?.seeds[0])
    const input = change(seed)
    expect(input).not.toBe(seed)
    await target?.run(Buffer.from(seed))

    const failure = await Promise.resolve(input)
      .then((text) => target?.run(Buffer.from(text)))
      .then(
        () => undefined,
        (error: unknown) => error,
      )

    expect(failure).toBeInstanceOf(CrossdockError)
    expect(failure).toMatchObject({ kind: 'badManifest' })
  })

  it.each([
    ['sidecar', `{"digest":"${DIGEST}","places":[{"upstream":"a","name":"b","tags":null}]}`],
    ['sidecar', `{"digest":"${DIGEST}","places":[],"conversion":{"layers":[{}]}}`],
    ['journal', 'null\n5\n"x"\n[]\n{"upstream":"docker.io","name":"a","platform":null}\n'],
    ['journal', '{"upstream":"docker.io","name":"a","standing":"proven"}\n'],
    ['layout-index', `{"manifests":[{"digest":"${DIGEST}","mediaType":"x","annotations":null}]}`],
    ['htpasswd', `a$b:$2y$05$${'a'.repeat(53)}\na$b:$2y$05$${'a'.repeat(53)}`],
    ['htpasswd', '$2y$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:alice'],
  ])('in %s: %j is nothing that surprises', async (name, input) => {
    const target = FUZZ_TARGETS.find((one) => one.name === name)
    const run = async () => target?.run(Buffer.from(input))

    const failure = await run().then(
      () => undefined,
      (error: unknown) => error,
    )

    expect(target).toBeDefined()
    expect(failure === undefined || (target && isForeseen(failure, target))).toBe(true)
  })
})
