import { afterAll, onTestFinished } from 'vitest'
import type { InlineHandler } from '../../../src/builder/context.ts'
import { aghanim } from '../../../src/webhooks/providers/aghanim.ts'
import { startApp, type TestApp, type TestAppOptions } from '../../helpers/app.ts'
import { createClient, type Reply } from '../../helpers/client.ts'
import { SENDERS_ENV, signedAs } from '../../helpers/senders.ts'

export interface Asked extends TestApp {
  ask(change?: Record<string, unknown>, o?: Parameters<typeof signedAs>[1]): Promise<Reply>
  rows(): ReturnType<typeof readRows>
  answers(): ReturnType<typeof readAnswers>
}

const readRows = ({ database }: TestApp) =>
  database.query.selectFrom('inbox').selectAll().orderBy('id').execute()
const readAnswers = ({ database }: TestApp) =>
  database.query.selectFrom('inline_answers').selectAll().execute()

let asked = 0
export const question = (change: Record<string, unknown> = {}) =>
  JSON.stringify({
    event_id: `whevt_${++asked}`,
    event_type: 'player.verify',
    idempotency_key: null,
    event_data: { player_id: 'testplayer' },
    context: null,
    ...change,
  })

/** The app with this handler for `player.verify`, gone after the test. */
export async function startAsked(handler: InlineHandler, o: TestAppOptions = {}): Promise<Asked> {
  const app = await openAsked(handler, o)
  onTestFinished(() => app.close())
  return app
}

/** Starts one app for the tests of a file that ask once. Each test brings its handler, and finds only its own rows. */
export function sharedAsked(): (handler: InlineHandler) => Promise<Asked> {
  let opened: Promise<Asked> | undefined
  let handled: InlineHandler = async () => undefined
  afterAll(async () => (await opened)?.close())
  return async handler => {
    handled = handler
    opened ??= openAsked(context => handled(context), {})
    const app = await opened
    await app.database.query.deleteFrom('inline_answers').execute()
    const before = (await app.rows()).length
    return { ...app, rows: async () => (await app.rows()).slice(before) }
  }
}

async function openAsked(handler: InlineHandler, o: TestAppOptions): Promise<Asked> {
  const handlers = { revento: {}, aghanim: { 'player.verify': handler } }
  const app = await startApp({ handlers, ...o, env: { ...SENDERS_ENV, ...o.env } })
  const client = createClient()
  return {
    ...app,
    ask: (change, signing) => {
      const { body, headers } = signedAs(aghanim, { body: question(change), ...signing })
      return client.post(`${app.url}/webhooks/aghanim`, body, headers)
    },
    rows: () => readRows(app),
    answers: () => readAnswers(app),
  }
}
