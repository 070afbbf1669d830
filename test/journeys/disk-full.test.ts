import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { testFolder } from '../helpers/folder.ts'
import { HANDLERS } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { SECRET, startApp } from '../lab/bench/processes.ts'

const FULL_AT = 2_500_000

/** No file of this process may grow beyond that: the kernel refuses writes, as a full disk does. */
const limitFiles = (pid: number, bytes: number | 'unlimited') =>
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`])

// prlimit is of Linux.
test.skipIf(process.platform !== 'linux')(
  'a disk that is full: 503 and never 200, /ready says why, and it goes on by itself afterwards',
  async () => {
    const folder = testFolder()
    const app = await startApp(folder, { LOG_LEVEL: 'error', NODE_OPTIONS: `--import ${HANDLERS}` })
    onTestFinished(async () => void (await app.stop()))
    const post = async () => {
      const id = crypto.randomUUID()
      const { body, headers } = signedDelivery({
        id,
        event: { data: { participant_id: `ptp_${id}`, note: 'x'.repeat(50_000) } },
        secret: SECRET,
      })
      const answer = await fetch(app.url, { method: 'POST', body, headers })
      return { id, status: answer.status, retryAfter: answer.headers.get('retry-after') }
    }
    const origin = new URL(app.url).origin
    limitFiles(app.pid, FULL_AT)

    const acknowledged: string[] = []
    const refused = await until(async () => {
      const answer = await post()
      if (answer.status === 200) acknowledged.push(answer.id)
      return answer.status !== 200 && answer
    }, 20_000)
    expect(refused).toMatchObject({ status: 503, retryAfter: '2' })
    for (let n = 0; n < 20; n++) expect((await post()).status).toBe(503)
    const ready = await fetch(`${origin}/ready`)
    expect([ready.status, await ready.json()]).toEqual([
      503,
      expect.objectContaining({ reason: expect.stringMatching(/^disk_/) }),
    ])
    expect((await fetch(`${origin}/health`)).status).toBe(200)

    limitFiles(app.pid, 'unlimited')
    const after = await until(async () => {
      const answer = await post()
      return answer.status === 200 && answer
    })
    acknowledged.push(after.id)
    // Within half a second it repeats its last answer.
    await until(async () => (await fetch(`${origin}/ready`)).status === 200)
    const database = new DatabaseSync(join(folder, 'bench.db'), { readOnly: true, timeout: 5000 })
    onTestFinished(() => database.close())
    const done = database.prepare(`select delivery_id id from inbox where state = 'done'`)
    await until(() => {
      const ids = new Set(done.all().map(row => row['id']))
      return acknowledged.every(id => ids.has(id))
    }, 60_000)
    expect(acknowledged.length).toBeGreaterThan(5)
  },
  120_000,
)

test.skipIf(process.platform !== 'linux')(
  'a log that cannot be written costs its lines and nothing else',
  async () => {
    // A device that refuses every write as a full disk does.
    const app = await startApp(testFolder(), {}, '/dev/full')
    for (let n = 0; n < 5; n++) {
      const answer = await fetch(app.url, { method: 'POST', ...signedDelivery({ secret: SECRET }) })
      expect(answer.status).toBe(200)
    }
    expect(await app.stop()).toBe(0)
  },
)
