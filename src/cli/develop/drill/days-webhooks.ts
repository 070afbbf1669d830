import { storyOf } from './deliveries.ts'
import { effects, expectSame } from './effects.ts'
import { delivered, handled, send, tellAll, tellRest } from './handling.ts'
import type { Day, World } from './open-world.ts'
import { expect, Failed, type Sent } from './world.ts'

/** Checks that each delivery ran once, however often it came. */
function expectOneRunEach(world: World, repeats: number): void {
  // Barker signs the time anew when it repeats, which makes a second message of it.
  const revento = world.rows().filter(({ provider }) => provider === 'revento')
  const count = (state: string) => revento.filter(row => row.state === state).length
  expect('duplicates', count('duplicate'), repeats)
  const twice = world.read(
    `select inbox_id from runs where outcome = 'done' group by inbox_id having count(*) > 1`,
  )
  expect('handlers that ran again', twice.length, 0)
}

/** A day on which a webhook is refused, and its next attempt, in order again, is taken. */
function refusal(day: Pick<Day, 'name' | 'title' | 'why'> & { fault: string }): Day {
  return {
    ...day,
    look: 'src/webhooks/verify/signature.ts',
    async run(world) {
      await world.start()
      await world.fault(day.fault)
      const [id] = await send(world, [{ provider: 'revento', type: 'application.approved' }])
      const sent = await world.until('the next attempt is taken', 20_000, async () => {
        const found = await world.console<Sent>(`/deliveries/${id}`)
        return found.state === 'delivered' && found
      })
      expect(
        'the answers',
        sent.attempts.map(({ status }) => status),
        [401, 200],
      )
      expect('stored deliveries', world.rows().length, 1)
    },
  }
}

/** Sends the first wave again with the bodies as they were: the sandbox gives each a new delivery id. */
async function replay(world: World): Promise<number> {
  const { first } = storyOf()
  const again = first.filter(({ provider, body }) => provider === 'revento' && body !== undefined)
  await delivered(world, first.length)
  await handled(world)
  await send(world, again)
  await delivered(world, first.length + again.length)
  return again.length
}

export const WEBHOOK_DAYS: readonly Day[] = [
  {
    name: 'duplicate',
    title: 'every delivery comes twice',
    why: 'Revento repeats a delivery when in doubt; a guest must not get in twice.',
    look: 'src/webhooks/inbox/dedupe.ts',
    fault: 'webhook_duplicate',
    async run(world) {
      const wanted = await world.undisturbed()
      await world.start()
      await world.fault('webhook_duplicate', { count: 1000 })
      const found = await tellAll(world)
      const { first, second, last } = storyOf()
      const own = first.filter(({ provider }) => provider === 'revento').length
      expectOneRunEach(world, own + second.length + last.length + world.automatic)
      expectSame('every delivery twice', found, wanted)
    },
  },
  {
    name: 'replay',
    title: 'old deliveries come again under new ids',
    why: 'The delivery id is not signed: an attacker can send a captured webhook under another id.',
    look: 'src/webhooks/inbox/claim.ts',
    async run(world) {
      const wanted = await world.undisturbed()
      await world.start()
      let repeats = 0
      const found = await tellAll(world, async () => {
        repeats = await replay(world)
      })
      expectOneRunEach(world, repeats)
      expectSame('a replay', found, wanted)
    },
  },
  {
    name: 'out_of_order',
    title: 'newer news comes before older',
    why: 'No order is promised: an approved guest must not go back to waiting.',
    look: 'src/webhooks/dispatch/keep-participant.ts',
    fault: 'webhook_out_of_order',
    async run(world) {
      const wanted = await world.undisturbed()
      const { first, second, last } = storyOf()
      await world.start()
      await world.connect()
      await send(world, second)
      await delivered(world, second.length)
      await handled(world)
      await tellRest(world, [first, last])
      expectSame('the other order', effects(world), wanted)
    },
  },
  refusal({
    name: 'stale',
    title: 'a webhook is ten minutes old',
    why: 'A signature without a time limit is a key that never expires.',
    fault: 'webhook_stale',
  }),
  refusal({
    name: 'future',
    title: 'a webhook is ten minutes ahead',
    why: 'A webhook dated ahead could be kept and replayed later.',
    fault: 'webhook_future',
  }),
  refusal({
    name: 'tampered',
    title: 'a webhook is altered on the way',
    why: 'An attacker who can change a body could let himself in.',
    fault: 'webhook_tampered',
  }),
  refusal({
    name: 're_encoded',
    title: 'a proxy writes the JSON anew',
    why: 'Only the bytes that were signed are known to be Revento’s.',
    fault: 'webhook_reserialised',
  }),
  refusal({
    name: 'wrong_secret',
    title: 'a webhook is signed with another secret',
    why: 'Everyone can reach the URL, so only the signature shows the sender.',
    fault: 'webhook_wrong_secret',
  }),
]

/** Checks that each answer came within the ten seconds that Revento waits. */
export function expectInTime(sent: readonly Sent[]): void {
  const slowest = Math.max(0, ...sent.flatMap(({ attempts }) => attempts.map(({ ms }) => ms)))
  if (slowest > 9_000)
    throw new Failed(`an answer took ${Math.round(slowest / 1000)} s`, 'src/webhooks/inbox/inbox.ts')
}
