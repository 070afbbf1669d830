import { expect, test } from 'vitest'
import type { Handler, HandlerContext, Handlers } from '../../../src/builder/context.ts'
import { handlerSlips } from '../../../src/webhooks/dispatch/handler-slips.ts'
import { startApp } from '../../helpers/app.ts'
import { exampleHandlers } from '../../helpers/example-handlers.ts'

const handler = async () => {}

test('a handler for each type that its sender sends is no slip', () => {
  expect(handlerSlips(exampleHandlers)).toEqual([])
})

test.each([
  ['revento', 'application.aproved', 'did you mean "application.approved"? If it does come, list it in'],
  ['revento', 'participants.registered', 'did you mean "participant.registered"?'],
  ['revento', 'weather.changed', 'known to send; if it does come, list it in src/integration/event-types.ts'],
  // part: senders {
  ['aghanim', 'player.verfy', 'did you mean "player.verify"?'],
  ['aghanim', 'weather.changed', 'which it is not known to send'],
  ['barker', 'mesage', 'did you mean "message"?'],
  ['handshake', 'ping', 'which it is not known to send'],
  ['standard', 'mesage', 'did you mean "message"?'],
  ['barkr', 'message', 'did you mean "barker"?'],
  // part: senders }
])('a handler of %s for %s is named with what to do', (provider, type, says) => {
  const list = { revento: {}, [provider]: { [type]: handler } }
  expect(handlerSlips(list)).toEqual([expect.stringContaining(says)])
})

// part: senders {
test('a sender whose users name the types may have any', () => {
  const list = { [`order.shipped`]: handler }
  expect(handlerSlips({ revento: {}, standard: list, entrupy: list })).toEqual([])
})
// part: senders }

test('the start says it in one line of the log', async () => {
  const misspelt = { revento: { ...exampleHandlers.revento, 'application.aproved': handler } }
  const app = await startApp({ handlers: misspelt })
  await app.close()
  expect(app.log.filter(line => line['part'] === 'handlers')).toMatchObject([
    { level: 'warn', msg: expect.stringContaining('did you mean "application.approved"?') },
  ])
})

test('a misspelt type does not compile', () => {
  // @ts-expect-error: no such type.
  type Misspelt = HandlerContext<'application.aproved'>
  const typed: Handler<'application.approved'> = async ({ event }: HandlerContext<'application.approved'>) =>
    void event.data.participant_id
  // @ts-expect-error: no such type.
  const misspelt: Handlers = { revento: { 'application.aproved': handler } }
  expect([typed, misspelt, {} satisfies Partial<Misspelt>]).toHaveLength(3)
})
