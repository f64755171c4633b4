/** BuildKit on its own. */
import { belowPathNotes, byNameAlone, file, note, type Setup, type Step } from './setup.ts'

const FOLDER = '/etc/buildkit'

export function buildkitSteps(setup: Setup): Step[] {
  const { address, profile, hosts, examples, login, ca, scheme } = setup
  const mirrors = hosts.map(
    ({ name }) => `[registry."${name}"]\n  mirrors = ["${address}/as/${profile}"]\n`,
  )
  const text = [...mirrors, ...ownRegistry(setup)].join('\n')
  return [
    note(
      'BuildKit: /etc/buildkit/buildkitd.toml, or docker buildx create --buildkitd-config FILE --use',
      "(the BuildKit inside dockerd uses dockerd's own set-up: crossdock config client docker)",
    ),
    ...(hosts.length === 0 ? [byNameAlone(setup)] : belowPathNotes(setup, 'list of mirrors')),
    note(`By this server's names: FROM ${address}/${examples[0]}-${profile}`),
    ...(text === '' ? [] : [file(`${FOLDER}/buildkitd.toml`, text)]),
    ...(ca === undefined ? [] : [file(`${FOLDER}/crossdock-ca.crt`, ca)]),
    ...(scheme === 'https' && ca === undefined
      ? [note('If its certificate is of an authority of your own: --ca FILE adds it here.')]
      : []),
    ...(login === 'htpasswd'
      ? [note(`A build takes the login of who starts it: docker login ${address}`)]
      : []),
  ]
}

function ownRegistry({ address, scheme, ca, login }: Setup): string[] {
  const lines = [
    ...(scheme === 'http' ? ['  http = true'] : []),
    ...(ca === undefined ? [] : [`  ca = ["${FOLDER}/crossdock-ca.crt"]`]),
    ...(login === 'mtls'
      ? [
          `  [[registry."${address}".keypair]]`,
          `    cert = "${FOLDER}/client.cert"`,
          `    key = "${FOLDER}/client.key"`,
        ]
      : []),
  ]
  return lines.length === 0 ? [] : [`[registry."${address}"]\n${lines.join('\n')}\n`]
}
