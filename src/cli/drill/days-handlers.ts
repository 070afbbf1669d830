import { EVENT_TYPES } from '../../revento/platform.ts'
import { type Day, expect, Failed } from './day.ts'
import { expectInTime } from './days-webhooks.ts'
import { storyOf } from './deliveries.ts'
import { expectSame } from './effects.ts'
import { handledTypes, handlerFile } from './handler-files.ts'
import { delivered, handled, send, tellAll, tellRest } from './handling.ts'
import type { Sent, World } from './world.ts'

const LOOK = 'src/handlers'
const ENDINGS = ['data.deletion_required', 'integration.suspended']

/** The sandbox's own payloads; they change its data, so they are no part of what is compared. */
async function sandboxPayloads(world: World): Promise<void> {
  const types = handledTypes('revento').filter(type => (EVENT_TYPES as readonly string[]).includes(type))
  const drafts = types.map(type => ({ provider: 'revento', type }))
  const isEnding = ({ type }: { type: string }) => ENDINGS.includes(type)
  await world.connect()
  await delivered(world, 0)
  await tellRest(world, [drafts.filter(draft => !isEnding(draft)), drafts.filter(isEnding)])
}

/** Whoever asks gets an answer, be it no. */
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
    },
  },
  {
    name: 'slow_handler',
    title: 'every handler takes twelve seconds',
    why: 'Revento waits ten seconds for its answer, whatever a handler does.',
    look: 'src/webhooks/dispatcher.ts',
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
