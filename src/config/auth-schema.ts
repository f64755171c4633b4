/** The keys below `auth`, and what rules of access are written with. */
import { z } from 'zod'
import { file, profileRef, repositoryGlob, text } from './fields.ts'

const policyRule = z.strictObject({
  who: z
    .array(text('a user, @group or *'))
    .min(1)
    .describe('Names of users (for certificates: common names), `@group`, or `*` for all of them.'),
  match: z
    .array(repositoryGlob())
    .min(1)
    .describe('Globs over `upstream/repository`: `*` within a component, `**` across.'),
  profiles: z
    .array(profileRef())
    .min(1)
    .optional()
    .describe(
      'Profiles they may ask for, `original` among them; without it all. This steers what is asked for and converted, it hides nothing: whoever may pull from a repository gets each file in it. A tag without a profile asks for `original`; a converted manifest by digest needs a profile it was made for; blobs, lists and originals by digest need the repository alone, and an original also comes where a profile was asked for that could not be served.',
    ),
})

/** `auth`: who may pull what. */
export const auth = z.strictObject({
  mode: z
    .enum(['none', 'htpasswd', 'mtls'])
    .default('none')
    .describe(
      'Who may pull: everybody (`none`), users of a file (`htpasswd`), or holders of a client certificate (`mtls`).',
    ),
  htpasswd: file()
    .optional()
    .describe(
      'File of `name:bcrypt hash` lines, as `htpasswd -B` writes them; read again at every reload.',
    ),
  groups: z
    .record(text('the name of a group'), z.array(text('the name of a user')))
    .default({})
    .describe('Group -> its members; for certificates an OU is a group, too.'),
  policy: z
    .array(policyRule)
    .default([])
    .describe('What they may pull; without rules everything, else what a rule allows.'),
})
