import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createRevento } from '../../src/builder/revento.ts'
import { ConnectionUnavailable, type UnavailableCode } from '../../src/oauth/access-token.ts'
import type { Connection } from '../../src/oauth/connections.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { CLIENT_SECRET, WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { emptyPage, json } from '../helpers/upstream.ts'
import { connect, EVENT, type Pair, startPair, storedConnections } from '../oauth/harness.ts'

const SCRIPT = fileURLToPath(new URL('../../src/integration/scripts/participants.ts', import.meta.url))

/** The example script beside the app, with the app's settings. */
async function run({ app, upstream }: Pair, ...args: string[]) {
  const env = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: CLIENT_SECRET,
    REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
    REVENTO_AUTH_BASE: upstream.authBase,
    REVENTO_API_BASE: upstream.apiBase,
    REVENTO_REDIRECT_URI: app.config.redirectUri,
    DATABASE_URL:
      app.config.store.kind === 'sqlite' ? `sqlite:${app.config.store.path}` : app.config.store.url,
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
  }
  const script = node([SCRIPT, ...args], { cwd: testFolder(), env })
  return [await script.ended, script.output.out, script.output.err]
}

test('a script calls with the connections of the app, and says with the link who has to connect again', async () => {
  const pair = await startPair({ handlers: { revento: {} } })
  await connect(pair)
  pair.upstream.onApi = json(200, {
    data: [{ id: 'ptp_1' }, { id: 'ptp_2' }],
    next_cursor: null,
    has_more: false,
  })
  expect(await run(pair)).toEqual([0, `${EVENT} of org_test_formal: 2\n`, ''])
  const link = `${pair.app.config.origin}/connect?event_id=`
  expect(await run(pair, 'evt_other')).toEqual([
    1,
    '',
    `evt_other is not connected: its organizer opens ${link}evt_other\n`,
  ])
  pair.upstream.onApi = json(401, { error: 'token_revoked' })
  const [code, out, err] = await run(pair)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(`${EVENT} has to be connected again: its organizer opens ${link}${EVENT}\n`)
  expect(err).not.toContain('    at ')
}, 60_000)

test('a script refreshes an expired token once, and commits the new one for everybody', async () => {
  const pair = await startPair({ handlers: { revento: {} } })
  await connect(pair)
  let asked = 0
  pair.upstream.onApi = (request, response) => {
    asked += 1
    json(asked === 1 ? 401 : 200, asked === 1 ? { error: 'token_expired' } : emptyPage)(request, response)
  }
  const [before] = await storedConnections(pair)
  expect(await run(pair)).toEqual([0, `${EVENT} of org_test_formal: 0\n`, ''])
  const [after] = await storedConnections(pair)
  expect([asked, (after?.version ?? 0) - (before?.version ?? 0), after?.state]).toEqual([2, 1, 'connected'])
})

const connection = (organizationId: string) => ({ eventId: 'evt_1', organizationId }) as Connection
const reventoOf = (organizations: string[], code: UnavailableCode) =>
  createRevento(
    {
      connections: { list: async () => organizations.map(connection) },
      accessTokens: { use: () => Promise.reject(new ConnectionUnavailable(code)) },
      // What it is asked through, without the waiting and the requests.
      apiClient: {
        forEvent: (_, withToken) => ({ event: () => withToken(async () => ({}), 'event.read') }) as never,
        forUser: () => expect.fail('nobody signed in'),
      },
      query: undefined as never,
      origin: 'https://app.example.org',
    },
    {},
  )

test.each([
  ['reconsent_required', 'has to be connected again: its organizer opens https://app.example.org/connect'],
  ['revoked', 'has to be connected again'],
  ['scope_missing', 'was connected without what this call needs: its organizer opens'],
  ['suspended', 'Revento has suspended this app'],
] as const)('%s is said as: %s', async (code, says) => {
  const { api } = await reventoOf(['org_1'], code).event('evt_1')
  await expect(api.event()).rejects.toMatchObject({
    name: 'NotUsable',
    message: expect.stringContaining(says),
  })
})

test('of two organizations that connected one event the script has to name one', async () => {
  const revento = reventoOf(['org_1', 'org_2'], 'revoked')
  await expect(revento.event('evt_1')).rejects.toThrow('give one of org_1, org_2 too')
  expect((await revento.event('evt_1', 'org_2')).organizationId).toBe('org_2')
  await expect(revento.event('evt_1', 'org_3')).rejects.toThrow('evt_1 is not connected')
})
