import { expect, test } from 'vitest'
import { handlers } from '../../src/integration/handlers/index.ts'
import { handlerSlips } from '../../src/webhooks/dispatch/handler-slips.ts'

test('each handler is for a type that its sender is known to send', () => {
  expect(handlerSlips(handlers)).toEqual([])
})
