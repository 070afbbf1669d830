// part: sandbox
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { keyIdOf } from '../../src/keys/sealing.ts'
import { node } from '../helpers/child.ts'
import { manualClock } from '../helpers/clock.ts'
import { testDatabase, testStore } from '../helpers/database.ts'
import { startMain } from '../helpers/program.ts'
import { base64, connectionsOf, idOf, sealedStore, sealerOf, settings, tokenSet } from '../helpers/sealed.ts'

const RESEAL = fileURLToPath(new URL('../../src/cli/operate/reseal.ts', import.meta.url))
const QUICK_BEATS = new URL('quick-beats.ts', import.meta.url).href
const [OLD = '', NEW = ''] = [1, 2].map(fill => sealerOf(fill).keys[0])

/** An instance with these keys; `open` reads a connection as a page does, which seals it again where that is due. */
async function instances() {
  const { store } = await testStore()
  await sealedStore(store, 1, 2)
  const clock = manualClock()
  return {
    clock,
    async start(current: number, previous?: number) {
      const opened = await openSealed(settings(store, current, previous), clock)
      onTestFinished(() => opened.database.close())
      const connections = connectionsOf(opened.database.query, opened.sealer)
      return {
        ...opened.instance,
        sealsWith: opened.sealer.sealsWith,
        save: (n: number) => connections.save(tokenSet(n)),
        open: async (n: number) => (await connections.open(idOf(n)))?.accessToken,
      }
    },
  }
}

test('a new key is used once every instance holds it; until then the old one opens all that is written', async () => {
  const { start } = await instances()
  const [first, second] = [await start(1), await start(1)]
  const changed = await start(2, 1)
  expect(changed.sealsWith()).toBe(OLD)
  await changed.save(1)
  expect(await changed.open(2)).toBe('access_2')
  for (const one of [first, second])
    expect([await one.open(1), await one.open(2)]).toEqual(['access_1', 'access_2'])
  await first.leave()
  const restarted = await start(2, 1)
  for (const one of [changed, restarted]) {
    await one.beat()
    expect(one.sealsWith()).toBe(OLD)
  }
  await second.leave()
  await changed.beat()
  await restarted.beat()
  expect([changed.sealsWith(), restarted.sealsWith()]).toEqual([NEW, NEW])
  await expect(start(1)).rejects.toThrow(/^ENCRYPTION_KEY is not the key of this database/)
})

test('while the new key waits, an instance with the old one alone may start', async () => {
  const { start } = await instances()
  await start(1)
  await start(2, 1)
  expect((await start(1)).sealsWith()).toBe(OLD)
})

test('an instance that was killed is waited for two minutes, by the clock of whoever waits', async () => {
  const { start, clock } = await instances()
  const killed = await start(1)
  const changed = await start(2, 1)
  clock.advance(119_999)
  await changed.beat()
  expect(changed.sealsWith()).toBe(OLD)
  // An instance that runs is never given up, however long it takes.
  await killed.beat()
  for (let ms = 0; ms < 600_000; ms += 20_000) {
    clock.advance(20_000)
    await killed.beat()
    await changed.beat()
    expect(changed.sealsWith()).toBe(OLD)
  }
  clock.advance(120_000)
  await changed.beat()
  expect(changed.sealsWith()).toBe(NEW)
})

test('an instance that has the new key as the previous one seals with it too, and takes nothing back', async () => {
  const { start } = await instances()
  const prepared = await start(1, 2)
  const changed = await start(2, 1)
  expect(changed.sealsWith()).toBe(NEW)
  for (const one of [prepared, changed, prepared, changed]) await one.beat()
  expect([prepared.sealsWith(), changed.sealsWith()]).toEqual([NEW, NEW])
})

test('two real instances: the new one writes what the old one reads, and changes when the old one has ended', {
  timeout: 60_000,
}, async () => {
  const { url, query } = await testDatabase()
  const env = { DATABASE_URL: url }
  const old = await startMain({ env: { ...env, ENCRYPTION_KEY: base64(1) } })
  await old.says('Ready: open')
  const both = { ENCRYPTION_KEY: base64(2), ENCRYPTION_KEY_PREVIOUS: base64(1) }
  const changed = await startMain({ env: { ...env, ...both, NODE_OPTIONS: `--import ${QUICK_BEATS}` } })
  await changed.says('an instance has the old ENCRYPTION_KEY only')
  await changed.says('Ready: open')
  /** The key of the flow that one more /connect begins. */
  const keyOfFlow = async (app: { port: number }) => {
    const answer = await fetch(`http://localhost:${app.port}/connect`, { redirect: 'manual' })
    expect(answer.status).toBe(302)
    const flow = query.selectFrom('flows').select('verifier').orderBy('created_at', 'desc')
    return keyIdOf((await flow.executeTakeFirstOrThrow()).verifier ?? Buffer.alloc(5))
  }
  expect([await keyOfFlow(changed), await keyOfFlow(old)]).toEqual([OLD, OLD])
  const early = node([RESEAL], { env: { ...env, ...both } })
  expect([await early.ended, early.output.err]).toEqual([
    1,
    expect.stringContaining('does not use this ENCRYPTION_KEY'),
  ])
  old.process.kill('SIGTERM')
  await old.ended
  await changed.says('every instance has the new ENCRYPTION_KEY')
  expect(await keyOfFlow(changed)).toBe(NEW)
  const reseal = node([RESEAL], { env: { ...env, ...both } })
  expect([await reseal.ended, reseal.output.out]).toEqual([0, expect.stringContaining('0 values left')])
})
