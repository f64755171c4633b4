/** Processor time of servers, which a busy machine changes far less than the clock. */
import { readFile } from 'node:fs/promises'

/** Of the kernel's clock for processes, a second. */
const TICKS = 100

/** Of a process and those that it has started, user and system, seconds. */
export async function processorSeconds(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim()
  const all = [pid, ...children.split(' ').filter(Boolean).map(Number)]
  const ticks = await Promise.all(
    all.map(async (one) => {
      const stat = await readFile(`/proc/${one}/stat`, 'utf8')
      const [user = 0, system = 0] = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13)
        .map(Number)
      return user + system
    }),
  )
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS
}
