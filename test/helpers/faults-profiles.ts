/** What the fault suites pull: a format that joins the table joins them by itself. */
import { FORMATS } from '../../src/format/formats.ts'

/** One profile for each encoding, since formats that share one share what can go wrong; the images are gzip already. */
export const CONVERTED: readonly string[] = FORMATS.filter(
  ({ encoding }, i) =>
    encoding.name !== 'gzip' && FORMATS.findIndex((one) => one.encoding === encoding) === i,
).map(({ name }) => name)

export const PROFILES: readonly string[] = ['original', ...CONVERTED]
