import { expect } from 'vitest'
import { exampleHandlers } from '../helpers/example-handlers.ts'
import { SENDERS_ENV } from '../helpers/senders.ts'
import { until } from '../helpers/wait.ts'
import { type Receiver, startReceiver } from '../webhooks/harness.ts'

/** Starts the app with a handler for every type, since what is stored of a body has to suit both databases. */
export const startBodies = () => startReceiver({ env: SENDERS_ENV, handlers: exampleHandlers })

/** Returns a query of the inbox; tests choose columns or rows, because the bodies are large here. */
export const inboxOf = ({ database }: Receiver) => database.query.selectFrom('inbox')

/** Expects, after each body, no delivery that was given up, no logged error and no changed prototype. */
export async function expectUnharmed(app: Receiver): Promise<void> {
  // A handler that met what it cannot store would have left a dead delivery, or one that waits.
  const states = await until(async () => {
    const rows = await inboxOf(app).select('state').execute()
    return rows.every(({ state }) => state !== 'running' && state !== 'pending') && rows.map(row => row.state)
  })
  expect(states.filter(state => state === 'dead')).toEqual([])
  expect(app.log.filter(line => line['level'] === 'error')).toEqual([])
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
}
