import { expect, test } from 'vitest'
import { checkSenders } from '../../src/builder/senders.ts'
import { shippedProviders } from '../../src/webhooks/providers/index.ts'
import { github } from '../webhooks/senders/github.ts'
import { stripe } from '../webhooks/senders/stripe.ts'

test('senders of a builder’s own are taken', () => {
  expect(() => checkSenders({ github, stripe }, shippedProviders)).not.toThrow()
})

test.each([
  ['a key that is not the name', { hub: github }, '"hub" has the name "github": give both the same'],
  ['a name of ours', { barker: { ...github, name: 'barker' } }, 'there is a sender "barker" already'], // part: senders
  ['the handshake', { handshake: { ...github, name: 'handshake' } }, 'there is a sender "handshake" already'],
  ['a name that is no path', { 'Git Hub': { ...github, name: 'Git Hub' } }, '"Git Hub" is no name'],
  // part: senders {
  [
    'a variable of ours',
    { github: { ...github, secret: { ...github.secret, variable: 'BARKER_WEBHOOK_SECRET' as const } } },
    "BARKER_WEBHOOK_SECRET is another sender's",
  ],
  // part: senders }
  [
    'one variable twice',
    { github, stripe: { ...stripe, secret: github.secret } },
    `GITHUB_WEBHOOK_SECRET is another sender's: give "stripe" one of its own`,
  ],
])('%s stops the start', (_, own, says) => {
  expect(() => checkSenders(own, shippedProviders)).toThrow(says)
  expect(() => checkSenders(own, shippedProviders)).toThrow('src/integration/senders/index.ts')
})
