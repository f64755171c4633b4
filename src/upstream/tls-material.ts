/** Authorities and client certificate of an upstream as they are now: both are replaced while we run. */
import { createSecureContext, getCACertificates } from 'node:tls'
import { SecretText } from './secret.ts'
import type { Secret, TlsSettings } from './settings.ts'

/** Options of a TLS connection; the same object as long as nothing changed. */
export interface TlsFacts {
  readonly authorities: { readonly ca?: string[] }
  readonly client: { readonly cert?: string; readonly key?: string }
}

export class TlsMaterial {
  readonly #ca: SecretText | undefined
  readonly #cert: SecretText | undefined
  readonly #key: SecretText | undefined
  #known: { readonly texts: readonly (string | undefined)[]; readonly facts: TlsFacts } | undefined

  constructor({ ca, cert, key }: TlsSettings) {
    const text = (secret: Secret | undefined) =>
      secret === undefined ? undefined : new SecretText(secret)
    this.#ca = text(ca)
    this.#cert = text(cert)
    this.#key = text(key)
  }

  async read(): Promise<TlsFacts> {
    const texts = [await this.#ca?.read(), await this.#cert?.read(), await this.#key?.read()]
    const known = this.#known
    if (known?.texts.every((text, i) => text === texts[i])) return known.facts
    const [ca, cert, key] = texts
    // A certificate that is replaced before its key would break every connection until the key has followed.
    if (known !== undefined && !isUsable({ ca, cert, key })) return known.facts
    const facts: TlsFacts = {
      authorities: ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] },
      client: cert === undefined || key === undefined ? {} : { cert, key },
    }
    this.#known = { texts, facts }
    return facts
  }
}

function isUsable(pems: { readonly [Name in 'ca' | 'cert' | 'key']: string | undefined }): boolean {
  try {
    createSecureContext(pems)
    return true
  } catch {
    return false
  }
}
