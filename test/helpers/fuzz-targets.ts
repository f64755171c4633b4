/** Every parser that reads what others wrote. */

import type { FuzzTarget } from './fuzz-target.ts'
import { ARCHIVE_TARGETS } from './fuzz-targets-archives.ts'
import { FILE_TARGETS } from './fuzz-targets-files.ts'
import { HTTP_TARGETS } from './fuzz-targets-http.ts'
import { OCI_TARGETS } from './fuzz-targets-oci.ts'
import { RESTORE_TARGETS } from './fuzz-targets-restore.ts'

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  ...OCI_TARGETS,
  ...HTTP_TARGETS,
  ...ARCHIVE_TARGETS,
  ...FILE_TARGETS,
  ...RESTORE_TARGETS,
]
