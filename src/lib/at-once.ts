/** So many pieces of work at a time. */

/** What `work` makes of each item, in no order worth knowing; what it makes nothing of is left out. */
export async function* atOnce<T, R>(
  items: AsyncIterable<T>,
  count: number,
  work: (item: T) => Promise<R | undefined>,
): AsyncGenerator<R> {
  let group: Promise<R | undefined>[] = []
  const results = async function* () {
    const done = await Promise.all(group)
    group = []
    for (const one of done) if (one !== undefined) yield one
  }
  for await (const item of items) {
    if (group.push(work(item)) === count) yield* results()
  }
  yield* results()
}
