/** How many layers are converted at a time, by all workers together. */
import type { Config } from './schema.ts'

/** More than cores: some wait for upstream while others keep the cores busy. */
const JOBS_PER_CORE = 2

/** `cores`: of the machine, for `auto`. */
export function conversionJobs({ convert }: Pick<Config, 'convert'>, cores: number): number {
  return convert.jobs === 'auto' ? cores * JOBS_PER_CORE : convert.jobs
}
