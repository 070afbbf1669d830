/** A secret and what people call it. */
export type Secrets = ReadonlyMap<string, string>

export interface Leak {
  readonly name: string
  readonly encoding: string
  readonly place: string
}

const ENCODINGS = ['raw', 'base64', 'base64url', 'hex'] as const

/** Too short to be told from chance. */
const SHORTEST = 12

/** Every secret in every encoding, looked for in every place. */
export function leaksIn(secrets: Secrets, places: Readonly<Record<string, Buffer>>): Leak[] {
  const leaks: Leak[] = []
  for (const [secret, name] of secrets) {
    if (secret.length < SHORTEST) continue
    const bytes = Buffer.from(secret)
    for (const encoding of ENCODINGS) {
      // Padding depends on what comes after it.
      const needle = encoding === 'raw' ? bytes : bytes.toString(encoding).replace(/=+$/, '')
      for (const [place, content] of Object.entries(places))
        if (content.includes(needle)) leaks.push({ name, encoding, place })
    }
  }
  return leaks
}
