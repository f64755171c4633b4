/** Sorting of very many texts that leaves the event loop to others. */
import { Turns } from './turns.ts'

/** Texts that are sorted, and merged, in one turn: a few milliseconds. */
const TEXTS_A_TURN = 4096

/** A sorted copy, in the order of `<`. */
export async function sortTexts(texts: Iterable<string>): Promise<string[]> {
  const all = [...texts]
  if (all.length <= TEXTS_A_TURN) return all.sort()
  const turns = new Turns(TEXTS_A_TURN)
  let runs: string[][] = []
  for (let at = 0; at < all.length; at += TEXTS_A_TURN) {
    runs.push(all.slice(at, at + TEXTS_A_TURN).sort())
    await turns.spend(TEXTS_A_TURN)
  }
  while (runs.length > 1) {
    const longer: string[][] = []
    for (let i = 0; i < runs.length; i += 2) {
      longer.push(await merge(runs[i] ?? [], runs[i + 1] ?? [], turns))
    }
    runs = longer
  }
  return runs[0] ?? []
}

async function merge(a: readonly string[], b: readonly string[], turns: Turns): Promise<string[]> {
  const merged: string[] = []
  let i = 0
  let j = 0
  while (merged.length < a.length + b.length) {
    const [one, other] = [a[i], b[j]]
    if (one !== undefined && (other === undefined || one <= other)) {
      merged.push(one)
      i += 1
    } else if (other !== undefined) {
      merged.push(other)
      j += 1
    }
    const turn = turns.spend()
    if (turn !== undefined) await turn
  }
  return merged
}
