import { expect } from 'vitest'
import { exampleHandlers } from '../helpers/example-handlers.ts'
import { SENDERS_ENV } from '../helpers/senders.ts'
import { until } from '../helpers/wait.ts'
import { type Receiver, startReceiver } from '../webhooks/harness.ts'

/** With a handler for everything: what is stored of a body has to suit both databases. */
export const startBodies = () => startReceiver({ env: SENDERS_ENV, handlers: exampleHandlers })

/** Without the bodies of all others, which are large here. */
export const inboxOf = ({ database }: Receiver) => database.query.selectFrom('inbox')

/** After each body: no delivery was given up, no error was logged, and no prototype was changed. */
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
