/** `hosts.toml` of containerd, and of Docker with containerd's image store: one folder for each registry. */
import { file, note, type Setup, type Step } from './setup.ts'

/** Below `folder`: every upstream's host through this server, and this server by its own name. */
export function hostsTomls(setup: Setup, folder: string): Step[] {
  const { address, scheme, profile, hosts } = setup
  const trust = trustLines(setup, folder)
  const mirrors = hosts.map(({ name, server }) => {
    const host = `[host."${scheme}://${address}/as/${profile}"]`
    const login = loginLines(setup, `host."${scheme}://${address}/as/${profile}".header`)
    // "resolve" is needed: with "pull" alone tags are looked up at the origin and only originals are asked of us.
    const lines = ['capabilities = ["pull", "resolve"]', ...trust, ...login]
    const text = `server = "${server}"\n\n${host}\n${lines.map((line) => `  ${line}\n`).join('')}`
    return file(`${folder}/${name}/hosts.toml`, text)
  })
  return [...mirrors, ...ownHostsToml(setup, folder)]
}

/** This server by its own name alone. */
export function ownHostsToml(setup: Setup, folder: string): Step[] {
  const { address, scheme, ca } = setup
  const trust = trustLines(setup, folder)
  const own = [`server = "${scheme}://${address}"`, ...trust]
  const needsOwn = scheme === 'http' || trust.length > 0
  return [
    ...(needsOwn ? [file(`${folder}/${address}/hosts.toml`, `${own.join('\n')}\n`)] : []),
    ...(ca === undefined ? [] : [file(`${folder}/${address}/ca.crt`, ca)]),
  ]
}

/** Where certificates lie, and who knows them. */
export function certificateNotes({ address, scheme, login, ca }: Setup, folder: string): Step[] {
  const place = `${folder}/${address}`
  return [
    ...(scheme === 'https' && ca === undefined
      ? [
          note(
            `If the certificate of ${address} is of an authority of your own: --ca FILE adds it here, or put it`,
            `into ${place}/ca.crt.`,
          ),
        ]
      : []),
    ...(login === 'mtls'
      ? [note(`Certificate and key of this client: ${place}/client.cert and ${place}/client.key`)]
      : []),
  ]
}

function trustLines({ address, login, ca }: Setup, folder: string): string[] {
  const place = `${folder}/${address}`
  return [
    ...(ca === undefined ? [] : [`ca = "${place}/ca.crt"`]),
    ...(login === 'mtls' ? [`client = [["${place}/client.cert", "${place}/client.key"]]`] : []),
  ]
}

/** A mirror gets no credentials of its registry, so that those for this server stand in the file. */
function loginLines({ login }: Setup, table: string): string[] {
  if (login !== 'htpasswd') return []
  return [
    '# Name and password, for which the file should be readable by root alone: printf %s NAME:PASSWORD | base64',
    `# [${table}]`,
    '#   Authorization = "Basic ..."',
  ]
}
