/** Who we are at one registry: what the configuration says, else what the Docker client knows. */
import type { Credentials, DockerCredentials } from './credentials.ts'
import { SecretText } from './secret.ts'
import type { UpstreamSettings } from './settings.ts'

/** `fresh`: after a refusal, when what is remembered may have been replaced. */
export type Identify = (how?: { readonly fresh?: boolean }) => Promise<Credentials | undefined>

export function identityOf(
  host: string,
  { username, password }: Pick<UpstreamSettings, 'username' | 'password'>,
  docker: DockerCredentials | undefined,
): Identify {
  if (username === undefined || password === undefined) {
    return async (how) => await docker?.find(host, how)
  }
  const secret = new SecretText(password)
  return async (how) => {
    const text = await secret.read(how)
    // Editors end a file with a line end.
    const isFile = typeof password !== 'string'
    return { username, password: isFile ? text.replace(/\r?\n$/, '') : text }
  }
}
