import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { testFolder } from '../helpers/folder.ts'

export interface Identity {
  readonly cert: string
  readonly key: string
}

export interface Authority extends Identity {
  /** For NODE_EXTRA_CA_CERTS. */
  readonly file: string
  /** `days`: 0 has expired by the time it is used. */
  issue(host: string, days?: number): Identity
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
const openssl = (...args: string[]) => void execFileSync('openssl', args, { stdio: 'ignore' })

/** A certificate authority of the test's own. */
export function authority(): Authority {
  const folder = testFolder()
  const at = (name: string) => join(folder, name)
  const read = (cert: string, key: string) => ({
    cert: readFileSync(at(cert), 'utf8'),
    key: readFileSync(at(key), 'utf8'),
  })
  const own = ['-keyout', at('ca.key'), '-out', at('ca.pem')]
  openssl('req', '-x509', ...EC, '-days', '2', '-subj', '/CN=test authority', ...own)
  let issued = 0
  return {
    ...read('ca.pem', 'ca.key'),
    file: at('ca.pem'),
    issue(host, days = 2) {
      const name = `leaf${++issued}`
      const [key, request, extensions, cert] = ['key', 'csr', 'ext', 'pem'].map(end => at(`${name}.${end}`))
      writeFileSync(`${extensions}`, `subjectAltName=DNS:${host}\n`)
      openssl('req', ...EC, '-subj', `/CN=${host}`, '-keyout', `${key}`, '-out', `${request}`)
      const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', String(days)]
      openssl('x509', '-req', '-in', `${request}`, '-extfile', `${extensions}`, '-out', `${cert}`, ...by)
      return read(`${name}.pem`, `${name}.key`)
    },
  }
}
