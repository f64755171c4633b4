/** What Node.js fails with when two ends do not come to TLS with each other. */

/** It does not believe the certificate: codes of node:tls, "X509 certificate error codes", and its own. */
const UNBELIEVED =
  /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|CRL_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|ERR_TLS_CERT_)/

/** What was said is no TLS: OpenSSL's errors, and the kernel's name for them. */
const NO_TLS = /^(?:EPROTO$|ERR_SSL_)/

export function tlsTroubleOf(error: unknown): 'certificate' | 'protocol' | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return
  if (UNBELIEVED.test(error.code)) return 'certificate'
  return NO_TLS.test(error.code) ? 'protocol' : undefined
}
