import { expect, test } from 'vitest'
import type { Connection } from '../../src/oauth/connections.ts'
import { welcomePage } from '../../src/status/start.ts'

const app = { appName: 'Badges', sandbox: undefined, defaultEventId: 'evt_1' }
const session = { id: 'id', formToken: 'token', connections: [] }

test('without the organizer’s page the start page says what was connected in this browser, as text', () => {
  const connection = { eventId: 'evt_<2>', state: 'reconsent' } as Connection
  const { text } = welcomePage(app, [connection], session)
  expect(text).toMatch(/evt_&lt;2&gt;<\/bdi>: Waiting for you: .*href="\/connect"/s)
  expect(text).toContain('Log out')
})

test('the start page says how to connect to whoever has connected nothing, and offers no log-out', () => {
  const { text } = welcomePage(app, [], session)
  expect([text.includes('href="/connect"'), text.includes('Log out')]).toEqual([true, false])
})
