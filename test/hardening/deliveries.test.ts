import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EVENT_TYPES } from '../../src/revento/platform.ts'
import { exampleHandlers } from '../helpers/example-handlers.ts'
import { rounds } from '../helpers/rounds.ts'
import { until } from '../helpers/wait.ts'
import { type Receiver, startReceiver } from '../webhooks/harness.ts'

/**
 * Rightly signed deliveries with any JSON in them, on both databases: the stated 400, or 200 and the very bytes are
 * stored and handled. A failure prints the seed and the smallest case. ROUNDS=200 in the environment tries 20,000.
 */
const RUNS = rounds(100)

let app: Receiver
beforeAll(async () => {
  app = await startReceiver({ handlers: exampleHandlers })
})
afterAll(() => app.close())

/** Any UTF-16, half pairs and NUL too; often what ends up between two systems. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code)) }),
  fc.constantFrom('', '\0', '\ud800', '__proto__', 'constructor', 'null', "';--", '\ufeff', 'a'.repeat(300)),
)
const anyJson = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    anyText,
    fc.constantFrom(null, true, 0, -0, 1e308, 2 ** 53 + 1),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 5 }),
  ),
})).value

const name = fc.oneof(
  { weight: 5, arbitrary: fc.stringMatching(/^[!-~]{1,40}$/) },
  { weight: 1, arbitrary: anyText },
)
const type = fc.oneof(
  // What erases is tried elsewhere: here the bytes are looked at after the answer.
  { weight: 5, arbitrary: fc.constantFrom(...EVENT_TYPES.filter(type => type !== 'data.deletion_required')) },
  { weight: 1, arbitrary: anyText },
)
const data = fc.record(
  { id: anyText, participant_id: anyText, name: anyText, application_status: anyText, more: anyJson },
  { requiredKeys: [] },
)
const anyEnvelope = fc.record(
  {
    id: name,
    type,
    occurred_at: anyText,
    event_id: fc.option(name),
    organization_id: fc.option(name),
    data: fc.oneof({ weight: 5, arbitrary: data }, { weight: 1, arbitrary: anyJson }),
    more: anyJson,
  },
  { requiredKeys: ['id', 'type', 'event_id', 'organization_id', 'data', 'occurred_at'] },
)
const anyBody = fc.oneof(
  { weight: 8, arbitrary: anyEnvelope },
  { weight: 1, arbitrary: anyJson },
  { weight: 1, arbitrary: fc.record({ id: anyJson, type: anyJson, data: anyJson }) },
)

const isName = (value: unknown) => typeof value === 'string' && /^[!-~]{1,200}$/.test(value)
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
/** The documented envelope, said once more. */
function isEnvelope(value: unknown): boolean {
  if (!isObject(value)) return false
  const { id, type, occurred_at, event_id, organization_id, data } = value as Record<string, unknown>
  const ids = [event_id, organization_id].every(one => one === null || isName(one))
  return isName(id) && isName(type) && typeof occurred_at === 'string' && ids && isObject(data)
}

test(`${RUNS} signed deliveries of any JSON`, async () => {
  const inbox = () => app.database.query.selectFrom('inbox')
  const counts = { accepted: 0, refused: 0 }
  const sent = async (value: unknown) => {
    const body = JSON.stringify(value)
    const answer = await app.send({ body })
    if (!isEnvelope(JSON.parse(body))) {
      counts.refused++
      expect([answer.status, JSON.parse(answer.text).error]).toEqual([400, 'invalid_payload'])
      return
    }
    counts.accepted++
    expect(answer).toMatchObject({ status: 200, text: 'ok' })
    const row = await inbox().selectAll().orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow()
    // A repeat of an envelope's id is recorded without its body, and may be resolved by now.
    if (row.body !== null)
      expect(Buffer.from(row.body).toString('hex')).toBe(Buffer.from(body).toString('hex'))
    else expect(row.state).toBe('duplicate')
  }
  await fc.assert(fc.asyncProperty(anyBody, sent), { numRuns: RUNS })
  expect(await inbox().select('id').execute()).toHaveLength(counts.accepted)
  await until(async () => {
    const open = await inbox().select('id').where('state', 'in', ['pending', 'running']).limit(1).execute()
    return open.length === 0
  }, 60_000)
  const states = await inbox().select('state').distinct().execute()
  expect(
    states.map(({ state }) => state).filter(state => !['done', 'ignored', 'duplicate'].includes(state)),
  ).toEqual([])
  expect(app.log.filter(line => line['level'] === 'error')).toEqual([])
  console.log('any JSON:', counts)
}, 3_600_000)
