import { describe, expect, it } from 'vitest'
import { findReferences } from '../../../src/bundle/references.ts'

const texts = (text: string) => findReferences('x', text).map((one) => one.text)

describe('references in a list', () => {
  it('are one a line, with comments and platforms', () => {
    const list =
      '# base\nalpine:3-zstd\n\nghcr.io/a/b@sha256:' +
      `${'a'.repeat(64)} linux/amd64,linux/arm64 # both\nalpine:3-zstd\n`

    expect(findReferences('list', list)).toEqual([
      { text: 'alpine:3-zstd', line: 2, platforms: [] },
      {
        text: `ghcr.io/a/b@sha256:${'a'.repeat(64)}`,
        line: 4,
        platforms: ['linux/amd64', 'linux/arm64'],
      },
    ])
  })

  it('with a host and port are no YAML', () => {
    expect(texts('registry.example:5000/a/b:1\nlocalhost:5000/c')).toEqual([
      'registry.example:5000/a/b:1',
      'localhost:5000/c',
    ])
  })

  it('are none in an empty file', () => {
    expect(texts('')).toEqual([])
    expect(texts('# nothing\n')).toEqual([])
  })
})

describe('references in YAML', () => {
  it('are found in every kind of Kubernetes object, in all documents', () => {
    const yaml = `
apiVersion: v1
kind: Pod
spec:
  initContainers: [{ name: i, image: "busybox:1.36" }]
  containers:
    - name: a
      image: nginx:1.27 # web
    - image: 'ghcr.io/team/app:2-zstd'
  volumes:
    - name: model
      image: { reference: quay.io/team/model:1, pullPolicy: Always }
---
# a comment: image: not-me
kind: List
items:
  - kind: CronJob
    spec: { jobTemplate: { spec: { template: { spec: { containers: [ { image: nginx:1.27 }, { image: redis } ] } } } } }
---
kind: ConfigMap
data:
  text: |
    image: inside-a-text
`
    expect(findReferences('k.yaml', yaml).map(({ text, line }) => [text, line])).toEqual([
      ['busybox:1.36', 5],
      ['nginx:1.27', 8],
      ['ghcr.io/team/app:2-zstd', 9],
      ['quay.io/team/model:1', 12],
      ['redis', 18],
    ])
  })

  it('are found in Compose files, with their platforms and anchors', () => {
    const yaml = `
x-base: &base
  image: alpine:3
  platform: linux/arm64
services:
  a: { build: . }
  b: *base
  c:
    image: team/c
`
    expect(findReferences('compose.yaml', yaml)).toEqual([
      { text: 'alpine:3', line: 3, platforms: ['linux/arm64'] },
      { text: 'team/c', line: 9, platforms: [] },
    ])
  })

  it('are put together from the values of a chart', () => {
    const yaml = `
image:
  registry: ghcr.io
  repository: team/app
  tag: 1.20
sidecar:
  image: { repository: docker.io/envoy/envoy, digest: "sha256:${'b'.repeat(64)}", tag: "" }
`
    expect(texts(yaml)).toEqual([
      'ghcr.io/team/app:1.20',
      `docker.io/envoy/envoy@sha256:${'b'.repeat(64)}`,
    ])
  })

  it('that are none are named with their line', () => {
    expect(() => findReferences('d.yaml', 'a: 1\nspec:\n  image: Not/Valid\n')).toThrow(
      /^d\.yaml:3: repository name "Not\/Valid" is not valid/,
    )
    expect(() => findReferences('d.yaml', `image: app:$${'{TAG}'}\n`)).toThrow(
      /^d\.yaml:1: image "app:\$\{TAG\}" holds a variable; render the file first/,
    )
    expect(() => findReferences('d.yaml', 'a: {\nimage: x')).toThrow(/^d\.yaml:\d+: /)
  })

  it('that are none all have their lines named', () => {
    expect(() => findReferences('list', 'a:1\nbad REF\nb:1 linux/amd64\nB:1\nC:1')).toThrow(
      /^list:2: platform "REF" is not os\/architecture.* \(line 4, 5 as well\)$/,
    )
  })

  it('do not blow up with anchors of anchors', () => {
    const levels = Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)
    const bomb = ['a0: &a0 { picture: x }', ...levels].join('\n')

    expect(texts(bomb)).toEqual([])
  })
})

describe('hostile lists', () => {
  const times = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join('')

  it.each([
    ['10,000 aliases', `a: &x {image: b}\n${times(10_000, (i) => `k${i}: *x\n`)}`],
    ['20,000 keys', times(20_000, (i) => `k${i}: 1\n`)],
    [
      'an alias for each of 200 levels',
      times(200, (i) => `b${i}: &b${i} [*b${i - 1},*b${i - 1}]\n`),
    ],
  ])('of %s take no time', (_what, yaml) => {
    const began = performance.now()
    try {
      texts(yaml)
    } catch {
      // An alias of nothing is a mistake that may be said.
    }
    // On a busy machine; quadratic time would be minutes.
    expect(performance.now() - began).toBeLessThan(8_000)
  })

  it.each([
    ['brackets', `a: ${'['.repeat(200_000)}`],
    ['dashes', `a:\n  ${'- '.repeat(200_000)}`],
    ['braces', `{"a":`.repeat(200_000)],
  ])('that are nested in %s are refused before they are parsed', (_what, yaml) => {
    expect(() => texts(yaml)).toThrow(/nested too deeply/)
  })

  it('of documents without an end are refused', () => {
    expect(() => texts(`image: a\n---\nimage: b\ntext: ${'x'.repeat(5 * 2 ** 20)}`)).toThrow(
      /^x:2: a document of more than 4 MiB/,
    )
  })

  it('of more images than anybody has are refused', () => {
    expect(() => texts('a\n'.repeat(100_002))).toThrow(/names more than 100000 images/)
  })

  it('have the lines of all their documents', () => {
    const yaml =
      '# first\n---\nimage: a:1\n---\n\nx:\n  - image: b:1\n--- # third\nimage: Not/Valid\n'
    expect(() => texts(yaml)).toThrow(/^x:9: /)
  })
})
