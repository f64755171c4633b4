import { describe, expect, it } from 'vitest'
import { drawJobs, Rates } from '../../../src/cli/progress-view.ts'
import type { Job, LayerProgress, LayerStage } from '../../../src/convert/progress.ts'
import type { Digest } from '../../../src/oci/digest.ts'

const MIB = 1024 * 1024

function layer(n: number, stage: LayerStage, received = 0): LayerProgress {
  const digest = `sha256:${n.toString(16).padStart(64, '0')}` as Digest
  return { digest, size: 10 * MIB, stage, received, written: 0 }
}

function job(layers: readonly LayerProgress[]): Job {
  const image = `docker.io/library/alpine@sha256:${'ab'.repeat(32)}`
  return { id: 1, image, profile: 'zstd', startedAt: 0, state: 'converting', layers }
}

describe('progress bars', () => {
  it('show bytes, rate, stage and time left of a layer, and of its image', () => {
    let now = 0
    const rates = new Rates(() => now)
    const growing = layer(1, 'converting', 2 * MIB)
    drawJobs([job([growing])], rates, 24)
    now = 1000
    growing.received = 5 * MIB

    const lines = drawJobs([job([growing])], rates, 24)

    expect(lines[0]).toContain('alpine@abababababab (zstd): 0 of 1 layers, 5.0 MiB / 10.0 MiB')
    expect(lines[1]).toMatch(
      /\[=+> +\] converting 5\.0 MiB \/ 10\.0 MiB {2}3\.0 MiB\/s {2}1\.7 s left$/,
    )
  })

  it('name images by the tag that was asked for, and end with what is done of all', () => {
    let now = 0
    const rates = new Rates(() => now)
    const growing = layer(1, 'converting', 2 * MIB)
    const running = { ...job([growing, layer(2, 'waiting')]), tag: '3' }
    const over = { ...job([layer(3, 'done')]), id: 2, endedAt: 1 }
    drawJobs([running], rates, 24, [over])
    now = 1000
    growing.received = 4 * MIB

    const lines = drawJobs([running], rates, 24, [over])

    expect(lines[0]).toContain('docker.io/library/alpine:3 (zstd): 0 of 2 layers')
    expect(lines.at(-1)).toBe('in all: 1 of 2 done, 14.0 MiB / 30.0 MiB  2.0 MiB/s  8.0 s left')
    expect(drawJobs([running], rates, 2, [over]).at(-1)).toMatch(/^in all/)
    expect(drawJobs([running], rates, 24).at(-1)).not.toMatch(/^in all/)
  })

  it('count an image once whose other blobs are fetched beside its conversion', () => {
    const made = { ...job([layer(1, 'done')]), tag: '3', endedAt: 1 }
    const fetched = (name: string, id: number): Job => ({
      ...job([layer(id, 'waiting')]),
      ...{ id, profile: 'fetch', image: `docker.io/library/${name}` },
    })
    const running = [fetched('alpine:3-zstd', 2), fetched('busybox:1', 3)]

    const total = drawJobs(running, new Rates(), 24, [made]).at(-1)

    expect(total).toBe('in all: 0 of 2 done, 10.0 MiB / 30.0 MiB')
  })

  it('shows a stall as no rate at all', () => {
    let now = 0
    const rates = new Rates(() => now)
    const what = {}
    rates.of(what, 100)
    now = 5000
    rates.of(what, 100)
    now = 6000

    expect(rates.of(what, 100)).toBe(0)
  })

  it('say of a bundle how far each image is, and the time left although xz takes it in by blocks', () => {
    let now = 0
    const rates = new Rates(() => now)
    const rows = ['team/app:1', 'team/web:2'].map((label, i) => ({ ...layer(i, 'storing'), label }))
    const output: Job = { ...job(rows), image: 'b.tar.xz', profile: 'xz, level 6', isBursty: true }
    drawJobs([output], rates, 24)
    const [first, second] = rows
    if (first === undefined || second === undefined) throw new Error('there are two')
    now = 10_000
    first.received = 5 * MIB
    drawJobs([output], rates, 24)
    // The next block is being worked on.
    now = 20_000
    const lines = drawJobs([output], rates, 24)
    for (const row of rows) row.received = row.size
    const last = drawJobs([output], rates, 24)

    expect(lines[0]).toMatch(
      /^b\.tar\.xz \(xz, level 6\): 0 of 2 parts, 5\.0 MiB \/ 20\.0 MiB {2}256 KiB\/s {2}1 m 0 s left$/,
    )
    expect(lines[1]).toMatch(/^ {2}team\/app:1 +\[=+> +\] storing +5\.0 MiB \/ 10\.0 MiB/)
    expect(last[0]).toMatch(/20\.0 MiB \/ 20\.0 MiB {2}compressing the last of it$/)
  })

  it('never draws more lines than the terminal has, and leaves out what is finished first', () => {
    const layers = [
      ...Array.from({ length: 20 }, (_, n) => layer(n, 'done')),
      layer(20, 'converting', MIB),
      ...Array.from({ length: 20 }, (_, n) => layer(n + 21, 'waiting')),
    ]

    const lines = drawJobs([job(layers)], new Rates(), 10)

    expect(lines).toHaveLength(10)
    expect(lines.join('\n')).toContain('converting')
    expect(lines.join('\n')).not.toContain('done')
  })

  it('draws nothing where there is no room', () => {
    expect(drawJobs([job([layer(1, 'waiting')])], new Rates(), 0)).toEqual([])
  })
})
