/** An authority and what it has signed, in a folder of files, made by openssl for one run. */
import { writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { mustRun } from './fixtures-command.ts'

export interface Authority {
  /** Of the authority itself. */
  readonly ca: string
  /** Makes `NAME.crt` and `NAME.key`; `subject` is openssl's: `/OU=edge/CN=node-7`; `hosts` are names and addresses. */
  issue(name: string, subject: string, hosts?: readonly string[]): Promise<Certificate>
}

export interface Certificate {
  readonly cert: string
  readonly key: string
}

const DAYS = ['-days', '2']
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export async function openAuthority(folder: string): Promise<Authority> {
  const own = { cert: join(folder, 'ca.crt'), key: join(folder, 'ca.key') }
  const files = ['-keyout', own.key, '-out', own.cert]
  await mustRun('openssl', ['req', '-x509', ...NEW_KEY, ...DAYS, '-subj', '/CN=test CA', ...files])
  return {
    ca: own.cert,
    async issue(name, subject, hosts = []) {
      const made = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
      const [request, extensions] = [join(folder, `${name}.csr`), join(folder, `${name}.ext`)]
      const names = hosts.map((host) => `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`).join(',')
      await writeFile(extensions, names === '' ? '' : `subjectAltName=${names}\n`)
      const asked = ['-subj', subject, '-keyout', made.key, '-out', request]
      await mustRun('openssl', ['req', ...NEW_KEY, ...asked])
      const signer = ['-CA', own.cert, '-CAkey', own.key, '-CAcreateserial', ...DAYS]
      const signed = ['-in', request, '-extfile', extensions, '-out', made.cert]
      await mustRun('openssl', ['x509', '-req', ...signer, ...signed])
      return made
    },
  }
}
