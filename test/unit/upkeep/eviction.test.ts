import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { DESCRIBED_PART, planEviction, type StoredBlob } from '../../../src/upkeep/eviction.ts'

const HOUR = 3_600_000
const NOW = 1_800_000_000_000
const POLICY = { now: NOW, maxSize: 100, leaseMs: HOUR, graceMs: HOUR }

function blob(
  name: string,
  size: number,
  hoursAgo: number,
  more: Partial<StoredBlob> = {},
): StoredBlob {
  const digest = digestOf(Buffer.from(name))
  const touchedAt = NOW - hoursAgo * HOUR
  return { digest, size, role: 'layer', touchedAt, comesBack: true, ...more }
}

const anyBlob = fc.record({
  digest: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => digestOf(bytes)),
  size: fc.nat(60),
  role: fc.constantFrom('manifest', 'config', 'layer', 'orphan', 'forgotten'),
  touchedAt: fc.integer({ min: NOW - 5 * HOUR, max: NOW + 2 * HOUR }),
  comesBack: fc.boolean(),
})

describe('eviction', () => {
  it('takes what was least recently served first, down to 95 % of the budget', () => {
    const blobs = [
      blob('new', 50, 2),
      blob('old', 30, 9),
      blob('older', 5, 20),
      blob('newer', 40, 1.5),
    ]

    const plan = planEviction(blobs, POLICY)

    expect(plan.total).toBe(125)
    expect(plan.victims.map(({ digest }) => digest)).toEqual([blobs[2]?.digest, blobs[1]?.digest])
    expect(plan.overBy).toBe(0)
  })

  it('leaves everything alone while the store is within its budget', () => {
    expect(planEviction([blob('a', 100, 50)], POLICY).victims).toEqual([])
  })

  it('takes orphans even within the budget, once their lease is over', () => {
    const old = blob('old', 1, 2, { role: 'orphan', comesBack: false })
    const fresh = blob('fresh', 1, 0.5, { role: 'orphan', comesBack: false })

    const plan = planEviction([old, fresh], POLICY)

    expect(plan.victims).toEqual([
      expect.objectContaining({ digest: old.digest, reason: 'orphan' }),
    ])
  })

  it('gives orphans a grace of their own, since an import links to its blobs at its end', () => {
    const arrived = blob('arrived', 1, 2, { role: 'orphan' })
    const forgotten = blob('forgotten', 1, 2, { role: 'forgotten', comesBack: false })

    const plan = planEviction([arrived, forgotten], { ...POLICY, graceMs: 3 * HOUR })

    expect(plan.victims).toEqual([
      expect.objectContaining({ digest: forgotten.digest, reason: 'forgotten' }),
    ])
  })

  it('says how far over the budget it stays when nothing more may go', () => {
    const leased = blob('leased', 300, 0.1)
    const only = blob('only', 50, 99, { comesBack: false })

    const plan = planEviction([leased, only], POLICY)

    expect(plan).toMatchObject({
      victims: [],
      kept: { leased: 300, irreplaceable: 50 },
      overBy: 250,
    })
  })

  it('takes manifests and configs beyond their share before any layer, and none within it', () => {
    const layer = blob('layer', 60, 50)
    const old = blob('old', 30, 9, { role: 'manifest' })
    const young = blob('young', 20, 2, { role: 'config' })

    const beyond = planEviction([layer, old, young], POLICY)
    const within = planEviction([blob('layer', 90, 50), young], POLICY)

    expect(beyond.victims).toMatchObject([{ digest: old.digest, reason: 'over-budget' }])
    expect(beyond.kept.described).toBe(20)
    expect(within.victims.map(({ digest }) => digest)).toEqual([layer.digest])
  })

  it('never takes what is leased, cannot come back, or is a manifest or config within the share', () => {
    fc.assert(
      fc.property(fc.array(anyBlob, { maxLength: 40 }), (blobs) => {
        const { victims, total, overBy, kept } = planEviction(blobs, POLICY)
        const gone = new Set(victims.map(({ digest }) => digest))
        const isDescription = ({ role }: StoredBlob) => role === 'manifest' || role === 'config'

        for (const one of blobs.filter(({ digest }) => gone.has(digest))) {
          expect(one.comesBack || ['orphan', 'forgotten'].includes(one.role)).toBe(true)
          expect(Math.abs(NOW - one.touchedAt)).toBeGreaterThanOrEqual(HOUR)
        }
        const last = blobs.filter((one) => gone.has(one.digest) && isDescription(one)).at(-1)
        const share = POLICY.maxSize * DESCRIBED_PART
        if (last !== undefined) expect(kept.described + 60).toBeGreaterThan(share)
        const left = total - victims.reduce((sum, { size }) => sum + size, 0)
        expect(Math.max(0, left - POLICY.maxSize)).toBe(overBy)
      }),
    )
  })

  it('takes no layer beyond what the budget asks for', () => {
    fc.assert(
      fc.property(fc.array(anyBlob, { maxLength: 40 }), (blobs) => {
        const { victims, total } = planEviction(blobs, POLICY)
        const last = victims.findLast(({ reason }) => reason === 'over-budget')
        if (last === undefined) return
        const left = total - victims.reduce((sum, { size }) => sum + size, 0)

        expect(left + last.size).toBeGreaterThan(POLICY.maxSize * 0.95)
      }),
    )
  })
})
