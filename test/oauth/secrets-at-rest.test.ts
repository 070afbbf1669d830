import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { CLIENT_SECRET, fileOf, WEBHOOK_SECRET } from '../helpers/app.ts'
import { sessionCookie } from '../helpers/client.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { connect, knows, type Pair, participantsUrl, startPair } from './harness.ts'

/** Returns the bytes of every file of the app's folder (the database, its -wal and -shm) and of every log line. */
function everything({ app }: Pair): Record<string, string> {
  const folder = dirname(fileOf(app))
  const files = readdirSync(folder).map(name => [name, readFileSync(join(folder, name), 'latin1')])
  return { ...Object.fromEntries(files), log: JSON.stringify(app.log) }
}

/** Returns a text raw, as hex in both cases, and as base64 in its three alignments, without what its neighbours change. */
function spellings(text: string): string[] {
  const hex = Buffer.from(text).toString('hex')
  const base64 = [0, 1, 2].flatMap(offset => {
    const padded = Buffer.from('x'.repeat(offset) + text)
    return [padded.toString('base64'), padded.toString('base64url')].map(encoded =>
      encoded.replace(/=+$/, '').slice(offset === 0 ? 0 : offset + 1, -2),
    )
  })
  return [text, hex, hex.toUpperCase(), ...base64]
}

const placesOf = (pair: Pair, text: string) =>
  Object.entries(everything(pair))
    .filter(([, content]) => spellings(text).some(spelling => content.includes(spelling)))
    .map(([name]) => name)

test('no token, code, state, verifier, cookie or secret is readable in the store or in the log', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ access_token: 'acc_canary_1', refresh_token: 'ref_canary_1' }))
  const { client, state } = await connect(pair)
  pair.upstream.onApi = knows('acc_canary_2')
  pair.upstream.onToken = json(200, tokens({ access_token: 'acc_canary_2', refresh_token: 'ref_canary_2' }))
  expect((await client.get(participantsUrl(pair))).status).toBe(200)
  const verifier = pair.upstream.tokenRequests()[0]?.form.get('code_verifier') ?? ''
  const session = sessionCookie(client).value
  for (const secret of [state, verifier, session]) expect(secret).toHaveLength(43)
  const secrets = ['acc_canary', 'ref_canary', 'good-code', CLIENT_SECRET, WEBHOOK_SECRET]
  for (const secret of [...secrets, state, verifier, session]) expect(placesOf(pair, secret)).toEqual([])
})

test('the scan would find what is written in clear', async () => {
  const pair = await startPair()
  await connect(pair)
  await pair.app.database.query
    .updateTable('connections')
    .set({ reason: 'planted_canary', access_token: Buffer.from('planted_blob') })
    .execute()
  pair.app.app.log.info('planted_line')
  for (const [n, encoding] of (['hex', 'base64', 'base64url'] as const).entries())
    for (const before of ['', 'a', 'ab'])
      pair.app.app.log.info(Buffer.from(`${before}planted_in_code_${n}`).toString(encoding))
  expect(placesOf(pair, 'planted_canary')).toContain('test.db-wal')
  expect(placesOf(pair, 'planted_blob')).toContain('test.db-wal')
  expect(placesOf(pair, 'planted_line')).toEqual(['log'])
  for (const n of [0, 1, 2]) expect(placesOf(pair, `planted_in_code_${n}`)).toEqual(['log'])
})
