import { expect, it } from 'vitest'
import { DiskSpace, reserveOf } from '../../../src/store/disk-space.ts'

const MIB = 1024 * 1024

it('keeps a twentieth of the disk free, but neither too little nor too much', () => {
  expect(reserveOf(10_000 * MIB)).toBe(500 * MIB)
  expect(reserveOf(10 * MIB)).toBe(16 * MIB)
  expect(reserveOf(100_000_000 * MIB)).toBe(1024 * MIB)
})

it('refuses what would touch the reserve, before it is written', async () => {
  const space = new DiskSpace(
    async () => ({ free: 600 * MIB, total: 10_000 * MIB }),
    () => 0,
  )

  await expect(space.expect(101 * MIB)).rejects.toMatchObject({ kind: 'storeFull' })
  await space.expect(100 * MIB)
})

it('counts what it has allowed since it last asked the disk, and asks again before it refuses', async () => {
  let free = 520 * MIB
  const space = new DiskSpace(
    async () => ({ free, total: 10_000 * MIB }),
    () => 0,
  )
  await space.claim(15 * MIB)
  free -= 15 * MIB

  await expect(space.claim(6 * MIB)).rejects.toMatchObject({ kind: 'storeFull' })
  free += 100 * MIB
  await space.claim(6 * MIB)
})

it('asks the disk sooner where others write to it as well, who together may be as far off as one', async () => {
  const looks = async (writers: number) => {
    let count = 0
    const look = async () => {
      count += 1
      return { free: 900 * MIB, total: 10_000 * MIB }
    }
    const space = new DiskSpace(look, () => 0, writers)
    for (let i = 0; i < 64; i += 1) await space.claim(MIB)
    return count
  }

  expect(await looks(1)).toBe(4)
  expect(await looks(4)).toBe(16)
})
