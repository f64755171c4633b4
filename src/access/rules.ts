/** Reads users and policy of a configuration, at start and again at every reload. */
import { readFile } from 'node:fs/promises'
import { ConfigError, type Path, type PlaceOf, problemLine } from '../config/problem.ts'
import { profilesOf } from '../config/profiles.ts'
import type { Config } from '../config/schema.ts'
import type { AccessMode, AccessRules } from './access.ts'
import { type CompareBcrypt, parseHtpasswd, Users } from './htpasswd.ts'
import { Policy } from './policy.ts'

/** Throws ConfigError with the line of the file that is wrong. */
export async function readAccessRules(
  config: Pick<Config, 'auth' | 'profiles' | 'convert'>,
  compare: CompareBcrypt,
  placeOf: PlaceOf,
): Promise<AccessRules> {
  const { auth } = config
  const known = profilesOf(config)
  const policy = new Policy({
    groups: auth.groups,
    rules: auth.policy.map(({ who, match, profiles }) => ({
      who,
      match,
      // Requests come with a profile's own name, whichever alias was said.
      profiles: profiles?.map((name) => known.find(name)?.name ?? name),
    })),
  })
  return { mode: await readMode(auth, compare, placeOf), policy }
}

/** Who gets in to the admin API; `undefined`: nobody is asked. Throws ConfigError. */
export async function readAdminRules(
  { adminUsers }: Pick<Config, 'adminUsers'>,
  compare: CompareBcrypt,
  placeOf: PlaceOf,
): Promise<AccessRules | undefined> {
  if (adminUsers === undefined) return undefined
  const users = await readUsers(['adminUsers'], adminUsers, compare, placeOf)
  return { mode: { mode: 'htpasswd', users }, policy: new Policy({ groups: {}, rules: [] }) }
}

async function readMode(
  { mode, htpasswd }: Config['auth'],
  compare: CompareBcrypt,
  placeOf: PlaceOf,
): Promise<AccessMode> {
  if (mode === 'mtls') return { mode }
  if (mode === 'none') return { mode }
  // The configuration's checks refuse this; an open door must not be what is left when they change.
  if (htpasswd === undefined) throw new Error(`auth.mode ${mode} is incomplete`)
  return {
    mode: 'htpasswd',
    users: await readUsers(['auth', 'htpasswd'], htpasswd, compare, placeOf),
  }
}

/** `key`: of the configuration, that names the file. */
async function readUsers(
  key: Path,
  file: string,
  compare: CompareBcrypt,
  placeOf: PlaceOf,
): Promise<Users> {
  try {
    return new Users(parseHtpasswd(file, await readFile(file, 'utf8')), compare)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const problem = { path: key, text: `cannot be used: ${reason}` }
    throw new ConfigError([problemLine(problem, placeOf)], error)
  }
}
