/** What a server has people try. */
import { expect, it } from 'vitest'
import { exampleImage } from '../../../src/admin/example-image.ts'
import type { TagName, KnownTag } from '../../../src/ports/tags.ts'

const HUB = ['docker.io', 'library/busybox', '1'] as const

it.each([
  ['what everybody knows of Docker Hub', 'docker.io', ['docker.io'], [HUB], 'alpine:3'],
  [
    'what is there of the default upstream',
    ...[
      'local',
      ['local', 'docker.io'],
      [HUB, ['local', 'app', 'sha256-0.sig'], ['local', 'app', '2']],
    ],
    'app:2',
  ],
  [
    'what is there of another',
    'local',
    ['local', 'docker.io'],
    [HUB],
    'docker.io/library/busybox:1',
  ],
  [
    'nothing that clients cannot say',
    'local',
    ['local', 'a:5000'],
    [['a:5000', 'x', '1']],
    undefined,
  ],
  ['nothing of what is no upstream any more', 'local', ['local'], [HUB], undefined],
  [
    'Docker Hub where nothing is there',
    'local',
    ['local', 'docker.io'],
    [],
    'docker.io/library/alpine:3',
  ],
] as const)('is %s', async (_, byDefault, names, tags, expected) => {
  const list = async function* (): AsyncGenerator<KnownTag & TagName> {
    for (const [upstream, name, tag] of tags) {
      yield { upstream, name, tag } as KnownTag & TagName
    }
  }
  const upstreams = { names, default: { name: byDefault } }

  expect(await exampleImage({ upstreams, catalog: { tags: { list } } })).toBe(expected)
})
