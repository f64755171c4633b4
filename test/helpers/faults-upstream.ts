/** Everything that an upstream may do wrong, by dice. */
import type { Fault } from './fake-wire.ts'
import type { Dice } from './faults-seed.ts'

/** What an upstream may do wrong, F20 to F37; each hits some requests. */
export function anyFault(dice: Dice, size: number): Fault {
  const at = dice.pick([0, 1, Math.floor(size / 2), size - 1])
  return dice.pick<Fault>([
    { dropAfter: at },
    { dropAfter: at, chunked: true },
    { stallAfter: at },
    { corruptAt: at },
    { lengthDelta: dice.pick([-1, 1, 1000]) },
    { body: new Uint8Array(size + 1) },
    { body: new Uint8Array(0) },
    { status: dice.pick([401, 403, 404, 429, 500, 502, 503]) },
    { status: 429, headers: { 'retry-after': dice.pick(['1', '-1', 'soon', '3600']) } },
    { reset: true },
    { stallHeaders: true },
    { ignoreRange: true, dropAfter: at },
    { shiftRange: 7, dropAfter: at },
    { headers: { 'content-type': 'text/html' } },
    { headers: { 'docker-content-digest': `sha256:${'a'.repeat(64)}` } },
    { redirectTo: (path) => path },
    { redirectTo: 'http://127.0.0.1:1/' },
  ])
}
