import { expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { onFile } from '../helpers/database.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { connect, participantsUrl, startPair } from './harness.ts'

test('a session holds where its idle limit cannot be written', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_one' }))
  const { client } = await connect(pair, createClient(), '?event_id=evt_one')
  await onFile(pair.app.database, file => file.exec('pragma query_only = on'))
  pair.runtime.advance(10 * 60_000)
  expect((await client.get(participantsUrl(pair, 'evt_one'))).status).toBe(200)
})
