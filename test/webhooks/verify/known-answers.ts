import { existsSync, readFileSync } from 'node:fs'
import type { Provider } from '../../../src/webhooks/verify/provider.ts'
import type { Headers } from '../../../src/webhooks/verify/signature.ts'

/** One answer computed outside this project, as the delivery it belongs to. */
export interface KnownAnswer {
  readonly provider: Provider
  readonly name: string
  readonly secret: string
  readonly timestamp: string
  readonly id: string
  readonly signature: string
  readonly body: Buffer
  /** The headers as Node gives them: names in small letters. */
  readonly headers: Record<string, string>
  /** The moment the timestamp names, in ms. */
  readonly now: number
}

interface Vectors {
  [provider: string]: { secret: string; cases: VectorCase[] } | undefined
}
interface VectorCase {
  name: string
  secret?: string
  id?: string
  timestamp?: string
  body_base64: string
  signature: string
}

const OWN = 'test/integration/signatures.json'
const read = (path: string): Vectors => {
  const file = new URL(`../../../${path}`, import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}
/** The template's, and the builder's. */
const vectors: Vectors = { ...read('test/vectors/signatures.json'), ...read(OWN) }

/** Returns the known answers of one provider; the file calls Standard Webhooks by its whole name. */
export function knownAnswers(provider: Provider): KnownAnswer[] {
  const { secret, cases } = vectors[provider.name] ??
    vectors[`${provider.name}-webhooks`] ?? { secret: '', cases: [] }
  return cases.map(c => {
    const { timestamp = '', id = '' } = c
    const named: [string | undefined, string][] = [
      [provider.timestamp?.header, timestamp],
      [provider.signature.header, c.signature],
      [provider.deliveryIdHeader, id || `id-of-${c.name.replaceAll(/\W/g, '-')}`],
      ['content-type', provider.contentType ?? ''],
    ]
    return {
      provider,
      name: c.name,
      secret: c.secret ?? secret,
      timestamp,
      id,
      signature: c.signature,
      body: Buffer.from(c.body_base64, 'base64'),
      headers: Object.fromEntries(named.filter(([name, value]) => name && value)),
      now: provider.timestamp ? provider.timestamp.toMs(timestamp) : 1_747_000_000_000,
    }
  })
}

/** The first of each provider: a delivery that its route takes. */
export const seedOf = (provider: Provider): KnownAnswer => {
  const [seed] = knownAnswers(provider)
  if (!seed) throw new Error(`no known answer for ${provider.name}: put one into ${OWN}`)
  return seed
}

export const withHeader = (
  headers: Headers,
  name: string,
  value: string | undefined,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...headers, [name]: value }).filter(([, v]) => v !== undefined),
  ) as Record<string, string>
