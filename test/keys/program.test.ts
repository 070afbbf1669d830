// part: sandbox
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { rotation } from '../../src/cli/develop/go-live/settings.ts'
import { loadConfig } from '../../src/config/settings.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { AUTHORIZE_PATH } from '../../src/revento/platform.ts'
import { entrupy } from '../../src/webhooks/providers/entrupy.ts'
import { createClient } from '../helpers/client.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { base64 } from '../helpers/sealed.ts'
import { signedAs } from '../helpers/senders.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER } from '../oauth/harness.ts'

const [OLD, NEW] = ['entrupy-secret-old-01', 'entrupy-secret-new-02']
const VARIABLE = 'ENTRUPY_WEBHOOK_SECRET'

/** A browser that has consented in the sandbox. */
async function connected({ url, sandboxUrl }: Program) {
  const client = createClient()
  const begun = await client.get(`${url}/connect`)
  const asked = await client.get(String(begun.headers['location']))
  const [, consent = ''] = /name="consent" value="([^"]+)"/.exec(asked.text) ?? []
  const form = new URLSearchParams({ consent, decision: 'authorize' }).toString()
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const decided = await client.post(sandboxUrl + AUTHORIZE_PATH, form, type)
  expect((await client.get(String(decided.headers['location']))).status).toBe(200)
  return client
}

/** Makes what is stored older by this much. */
function age(folder: string, hours: number): void {
  const database = new DatabaseSync(join(folder, 'data', 'revento.db'))
  database.exec(`update key_uses set since = since - ${hours * 3_600_000},
    last_used_at = case last_used_at when 0 then 0 else last_used_at - ${hours * 3_600_000} end`)
  database.close()
}

test('a secret and the encryption key are changed under the real program, and go when it says so', async () => {
  const folder = testFolder()
  const port = await freePort()
  const start = async (env: Record<string, string>) => {
    const program = await startProgram({ METRICS_PORT: String(port), ...env }, folder)
    onTestFinished(async () => void (await program.stop('SIGKILL')))
    return {
      ...program,
      /** Sends again what a busy machine refuses for now, as a sender does. */
      async deliver(secret: string) {
        const { body, headers } = signedAs(entrupy, { secret })
        return until(async () => {
          const { status } = await createClient().post(`${program.url}/webhooks/entrupy`, body, headers)
          return status !== 503 && status
        })
      },
      metrics: async () => (await createClient().get(`http://127.0.0.1:${port}/metrics`)).text,
      /** Returns the page of the organizer's session as text without marks. */
      async page() {
        const client = await connected(program)
        const { text } = await client.get(`${program.url}/`, BROWSER)
        expect(text).toContain('id="part-connections"')
        return text.replace(/<[^>]+>/g, '')
      },
    }
  }
  const before = await start({ ENCRYPTION_KEY: base64(1), [VARIABLE]: OLD })
  expect(await before.deliver(OLD)).toBe(200)
  expect(await before.page()).not.toContain('Keys being changed')
  expect(await before.metrics()).not.toMatch(/^(key_previous_removable|sealed_values_previous_key)[ {]/m)
  expect(await before.stop()).toBe(0)

  const changing = {
    ENCRYPTION_KEY: base64(2),
    ENCRYPTION_KEY_PREVIOUS: base64(1),
    [VARIABLE]: NEW,
    [`${VARIABLE}_PREVIOUS`]: OLD,
  }
  const goLive = async () => {
    const env = { ...changing, DATABASE_URL: `sqlite:${join(folder, 'data', 'revento.db')}` }
    const found = await rotation({ config: loadConfig(env), runtime })
    return found.map(({ status, said, todo = '' }) => `${status} ${said} > ${todo}`)
  }
  const both = await start(changing)
  expect(await both.metrics()).toContain('\nsealed_values_previous_key 2\n')
  expect(await both.deliver(OLD)).toBe(200)
  expect(await both.deliver(NEW)).toBe(200)
  const keep = await both.page()
  expect(keep).toMatch(/ENTRUPY_WEBHOOK_SECRET: the previous one was last used .*Keep it until the new one/)
  expect(keep).toMatch(/ENCRYPTION_KEY: the previous one .*No value is left under it. Keep it five minutes/)
  expect(await both.metrics()).toMatch(/^key_previous_removable{variable="ENCRYPTION_KEY"} 0$/m)
  expect(await both.stop()).toBe(0)
  expect(await goLive()).toEqual([
    expect.stringMatching(/^ok ENTRUPY_WEBHOOK_SECRET: .*Keep it until/),
    expect.stringMatching(/^ok ENCRYPTION_KEY: .*Keep it five minutes/),
  ])

  age(folder, 25)
  const later = await start(changing)
  expect(await later.page()).toMatch(/ENTRUPY_WEBHOOK_SECRET: .*Keep it until the new one/)
  expect(await later.deliver(NEW)).toBe(200)
  const safe = await later.page()
  const waits = 'Keep it until the clock has run steadily for an hour.'
  expect(safe).toContain(`The new one has been in use for a day without it. ${waits}`)
  expect(safe).toContain(`No value is left under it. ${waits}`)
  const metrics = await later.metrics()
  for (const name of [VARIABLE, 'ENCRYPTION_KEY'])
    expect(metrics).toContain(`\nkey_previous_removable{variable="${name}"} 0\n`)
  expect(metrics).toContain('\nsealed_values_previous_key 0\n')
  expect(later.output.out).toMatch(/"level":"info".*"part":"keys".*ENCRYPTION_KEY: .*Keep it until the clock/)
  expect(await later.stop()).toBe(0)
  expect(await goLive()).toEqual([
    expect.stringMatching(
      /^unsure ENTRUPY_.*Safe to remove.* > Delete ENTRUPY_WEBHOOK_SECRET_PREVIOUS where/,
    ),
    expect.stringMatching(/^unsure ENCRYPTION_KEY: .* > Delete ENCRYPTION_KEY_PREVIOUS where/),
  ])

  const after = await start({ ENCRYPTION_KEY: base64(2), [VARIABLE]: NEW })
  expect(await after.deliver(OLD)).toBe(401)
  expect(await after.deliver(NEW)).toBe(200)
  expect(await after.page()).not.toContain('Keys being changed')
  expect(await after.stop()).toBe(0)
  for (const { output } of [before, both, later, after]) {
    for (const secret of [OLD, NEW, base64(1), base64(2)]) expect(output.out).not.toContain(secret)
  }
}, 60_000)
