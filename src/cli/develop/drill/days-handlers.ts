import { Agent } from 'undici' // part: senders
import { SANDBOX_VERIFY_TOKEN } from '../../../config/checks.ts' // part: senders
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { EVENT_TYPES } from '../../../revento/platform.ts'
import { post, showToken } from '../../../webhooks/verify/send.ts' // part: senders
import { expectInTime } from './days-webhooks.ts'
import { deletion, ENDINGS, handledTypes, handlerFile, otherSenders, storyOf } from './deliveries.ts'
import { expectErased, expectSame, fileOfTable, peopleOf, tablesNaming } from './effects.ts'
import { delivered, handled, send, tellAll, tellRest } from './handling.ts'
import type { Day, World } from './open-world.ts'
import { doubledOutside } from './outside.ts'
import { expect, Failed, type Sent } from './world.ts'

const LOOK = 'src/integration/handlers'

/** Sends the sandbox's own payloads. They change its data, so their effects are not compared. */
async function sandboxPayloads(world: World): Promise<void> {
  const types = handledTypes('revento').filter(type => (EVENT_TYPES as readonly string[]).includes(type))
  const drafts = types.map(type => ({ provider: 'revento', type }))
  const isEnding = ({ type }: { type: string }) => ENDINGS.includes(type)
  await world.connect()
  await delivered(world, 0)
  const others = drafts.filter(draft => !isEnding(draft))
  await tellRest(world, [[...others, ...otherSenders()], drafts.filter(isEnding)])
}

/** Checks that every inline request gets an answer, be it no. */
async function inlineAnswers(world: World): Promise<void> {
  for (const type of handledTypes('aghanim')) {
    const [id] = await send(world, [{ provider: 'aghanim', type }])
    const status = await world.until(`an answer to ${type}`, 12_000, async () => {
      const { attempts } = await world.console<Sent>(`/deliveries/${id}`)
      return attempts[0] && { code: attempts[0].status }
    })
    if (status.code === null || status.code >= 500)
      throw new Failed(`${type} was answered ${status.code ?? 'nothing'}`, handlerFile('aghanim', type))
  }
}

// part: senders {
/** Acts as a sender that cannot sign: its address shows a token, and may post from then on. */
async function handshake(world: World): Promise<void> {
  const url = `${world.program().url}/webhooks/handshake`
  const agent = new Agent()
  const show = (token: string) => showToken({ url, token, timeoutMs: 10_000 }, agent)
  const headers = { 'content-type': 'application/json' }
  const body = '{"data":"This is some test data"}'
  // A real sender sends again what a busy machine refuses for now.
  const message = () =>
    world.until('the app has time for a message', 10_000, async () => {
      const { status } = await post({ url, headers, body, timeoutMs: 10_000 }, agent)
      return status !== 503 && status
    })
  try {
    expect('a message before the token', await message(), 401)
    expect('a wrong token', await show('drill-wrong-token'), 401)
    expect('a message after the wrong token', await message(), 401)
    expect('the token', await show(SANDBOX_VERIFY_TOKEN), 200)
    expect('a message after the token', await message(), 200)
  } finally {
    await agent.destroy()
  }
}
// part: senders }

/** Checks that the operator's command erases a person. */
async function expectForgotten(world: World): Promise<void> {
  const people = world.read<{ event_id: string; participant_id: string }>(
    'select event_id, participant_id from participants order by participant_id',
  )
  const spread = people.map(one => ({ ...one, tables: tablesNaming(world, one.participant_id).length }))
  const [person] = spread.toSorted((a, b) => b.tables - a.tables)
  if (!person) throw new Failed('the drill itself is wrong: nobody was stored')
  const { event_id, participant_id } = person
  const { code, out } = await world.command('operate/person.ts', [event_id, participant_id, '--erase'])
  const left = tablesNaming(world, participant_id)
  if (left[0] !== undefined)
    throw new Failed(
      `after npm run person, the table "${left[0]}" still holds ${participant_id}`,
      fileOfTable(left[0]),
    )
  expect(`npm run person, which said ${JSON.stringify(out.trim())},`, code, 0)
}

export const HANDLER_DAYS: readonly Day[] = [
  {
    name: 'handler_payloads',
    title: 'every handler gets what the guide and the sandbox show',
    why: 'A handler that throws on a documented payload ends up with dead deliveries.',
    look: LOOK,
    async run(world) {
      await world.undisturbed()
      await world.start()
      await sandboxPayloads(world)
      await inlineAnswers(world)
    },
  },
  {
    name: 'handler_throws',
    title: 'every handler throws after its work, and runs again',
    why: 'Handlers run at least once: what a second run does must be what one did.',
    look: LOOK,
    async run(world) {
      const wanted = await world.undisturbed()
      await world.start('throw')
      expectSame('a second run of every handler', await tellAll(world), wanted)
      return doubledOutside(world)
    },
  },
  {
    name: 'erasure',
    title: 'Revento asks that an event be erased',
    why: 'Personal data that stays after that is kept against the law, and ends the integration.',
    look: 'src/webhooks/dispatch/owed.ts',
    async run(world) {
      const { first, second } = storyOf()
      const ofEvent = first.filter(({ provider }) => provider === 'revento')
      await world.start()
      await world.connect()
      await send(world, ofEvent)
      await delivered(world, ofEvent.length)
      await handled(world)
      const people = peopleOf(world)
      if (people.length === 0) throw new Failed('the drill itself is wrong: nothing of anybody was stored')
      await tellRest(world, [[deletion(runtime.now())]])
      expectErased(world, people, 'after data.deletion_required')
      const [connection] = world.read(
        'select state, access_token is null and refresh_token is null as emptied from connections',
      )
      expect('the connection', connection, { state: 'deleted', emptied: 1 })
      await tellRest(world, [second])
      expectErased(world, people, 'after a late webhook of the erased event')
    },
  },
  {
    name: 'person_erased',
    title: 'one person asks that what is kept of them be erased',
    why: 'The law gives them a month; whoever cannot find what is kept of one person cannot answer.',
    look: 'src/cli/operate/person.ts',
    async run(world) {
      const { first } = storyOf()
      await world.start()
      await world.connect()
      await send(world, first)
      await delivered(world, first.length)
      await handled(world)
      await expectForgotten(world)
    },
  },
  // part: senders {
  {
    name: 'handshake',
    title: 'a sender that cannot sign, and whose handler throws after its work',
    why: 'Only an address that has shown the token may post; what it posts is kept and handled like the rest.',
    look: 'src/webhooks/handshake/handshake.route.ts',
    async run(world) {
      await world.start('throw')
      await handshake(world)
      await handled(world)
      const isHandled = handledTypes('handshake').includes('message')
      const found = world.rows().map(({ provider, state, attempts }) => ({ provider, state, attempts }))
      expect('the stored deliveries', found, [
        { provider: 'handshake', state: isHandled ? 'done' : 'ignored', attempts: isHandled ? 2 : 0 },
      ])
    },
  },
  // part: senders }
  {
    name: 'slow_handler',
    title: 'every handler takes twelve seconds',
    why: 'Revento waits ten seconds for its answer, whatever a handler does.',
    look: 'src/webhooks/dispatch/dispatcher.ts',
    async run(world) {
      const { first } = storyOf()
      await world.start('slow')
      await world.connect()
      await send(world, first)
      expectInTime(await delivered(world, first.length))
      const busy = world.rows().filter(({ state }) => state === 'running').length
      if (busy === 0) throw new Failed('no handler was running when the answers had come')
      for (const path of ['/health', '/ready', '/']) expect(path, (await world.get(path)).status, 200)
      await handled(world, 40_000)
    },
  },
]
