import { describe, expect, test } from 'vitest'
import { api, call, connect, EVENT, post, type Started, start, until } from './harness.ts'

const participants = `/events/${EVENT}/participants`
const ALL = { scope: 'event.read participants.read program.read' }
type Row = Record<string, unknown>
const rowsOf = (json: Row) => json['data'] as Row[]

async function collect(sandbox: Started, access: string, path: string, limit: number): Promise<Row[][]> {
  const pages: Row[][] = []
  for (let cursor: unknown = ''; cursor !== null; ) {
    const query = cursor === '' ? `limit=${limit}` : `limit=${limit}&cursor=${cursor}`
    const { status, json } = await api(sandbox, access, `${path}?${query}`)
    expect(status).toBe(200)
    expect(json['has_more']).toBe(json['next_cursor'] !== null)
    pages.push(rowsOf(json))
    cursor = json['next_cursor']
  }
  return pages
}

describe('lists', () => {
  test('all 36 participants come in pages of 10, each once, with every status', async () => {
    const sandbox = await start()
    const pages = await collect(sandbox, (await connect(sandbox)).access, participants, 10)
    expect(pages.map(rows => rows.length)).toEqual([10, 10, 10, 6])
    const rows = pages.flat()
    for (const field of ['id', 'application_id', 'user_id', 'email', 'name'])
      expect(new Set(rows.map(row => row[field])).size).toBe(36)
    expect(new Set(rows.map(row => row['application_status']))).toEqual(
      new Set(['pending', 'approved', 'rejected', 'revision_requested']),
    )
    expect(Object.keys(rows[0] ?? {})).toEqual([
      'id',
      'application_id',
      'user_id',
      'name',
      'email',
      'role',
      'application_status',
      'submitted_at',
      'registered_at',
      'last_reviewed_at',
      'last_reviewer_id',
      'last_review_action',
      'custom_form_fields',
    ])
  })

  test('a page has 25 rows unless told, 50 at most', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    expect(rowsOf((await api(sandbox, access, participants)).json)).toHaveLength(25)
    expect(rowsOf((await api(sandbox, access, `${participants}?limit=50`)).json)).toHaveLength(36)
  })

  test.each(['0', '51', '-1', '1e1', '10.0', '', 'ten', '10&limit=10'])(
    'a list refuses limit=%s',
    async limit => {
      const sandbox = await start()
      const answer = await api(sandbox, (await connect(sandbox)).access, `${participants}?limit=${limit}`)
      expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_limit'])
    },
  )

  test('a list refuses a cursor it did not make, or made for another one', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox, ALL)
    const { json } = await api(sandbox, access, `/events/${EVENT}/activities?limit=5`)
    const forged = Buffer.from(`99 participants ${EVENT}`).toString('base64url')
    for (const cursor of [json['next_cursor'], forged, 'x', '', '10']) {
      const answer = await api(sandbox, access, `${participants}?cursor=${cursor}`)
      expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_cursor'])
    }
  })

  test.each([
    ['program', 3],
    ['activities', 72],
    ['threads', 3],
    ['locations', 4],
    ['registration-waves', 3],
  ])('%s has %i rows', async (name, count) => {
    const sandbox = await start()
    const pages = await collect(sandbox, (await connect(sandbox, ALL)).access, `/events/${EVENT}/${name}`, 50)
    expect(new Set(pages.flat().map(row => row['id'])).size).toBe(count)
  })
})

test('an event answers its row', async () => {
  const sandbox = await start()
  const { json } = await api(sandbox, (await connect(sandbox)).access, `/events/${EVENT}`)
  expect(json).toMatchObject({ id: EVENT, organization_id: 'org_test_formal', publish_status: 'published' })
})

describe('access', () => {
  test('an access token lives one hour', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    sandbox.runtime.advance(3_599_999)
    expect((await api(sandbox, access, participants)).status).toBe(200)
    sandbox.runtime.advance(1)
    const late = await api(sandbox, access, participants)
    expect([late.status, late.json['error']]).toEqual([401, 'token_expired'])
  })

  test('an unknown, malformed or missing token is invalid_token', async () => {
    const sandbox = await start()
    const { refresh } = await connect(sandbox)
    for (const authorization of [
      'Bearer rev_install_x',
      `Bearer ${refresh}`,
      'Bearer ',
      'Basic eDp5',
      undefined,
    ]) {
      const headers = authorization === undefined ? {} : { authorization }
      const answer = await call(`${sandbox.url}/api/v1${participants}`, { headers })
      expect([answer.status, answer.json['error']]).toEqual([401, 'invalid_token'])
    }
  })

  test('a token opens its own event only, whether or not the other exists', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    for (const id of ['evt_test_second', 'evt_nobody']) {
      const answer = await api(sandbox, access, `/events/${id}/participants`)
      expect([answer.status, answer.json['error']]).toEqual([403, 'event_not_authorized'])
    }
  })

  test.each([
    ['event.read', participants],
    ['participants.read', `/events/${EVENT}`],
    ['event.read participants.read', `/events/${EVENT}/activities`],
  ])('with %s alone %s is missing_scope', async (scope, path) => {
    const sandbox = await start()
    const answer = await api(sandbox, (await connect(sandbox, { scope })).access, path)
    expect([answer.status, answer.json['error']]).toEqual([403, 'missing_scope'])
  })

  test('an unknown path is not_found, a version that does not exist not_acceptable', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    expect((await api(sandbox, access, '/nothing')).json['error']).toBe('not_found')
    const v2 = { accept: 'application/vnd.revento.v2+json' }
    expect((await api(sandbox, access, participants, v2)).json['error']).toBe('not_acceptable')
    const v1 = { accept: 'application/vnd.revento.v1+json' }
    expect((await api(sandbox, access, participants, v1)).status).toBe(200)
  })
})

describe('request id', () => {
  test.each(['0f8fad5b-d9cb-469f-a165-70867728950e', '0f8fad5bd9cb469fa16570867728950e'])(
    '%s is echoed in header and error',
    async id => {
      const sandbox = await start()
      const answer = await api(sandbox, 'wrong', participants, { 'x-revento-request-id': id })
      expect([answer.headers['x-revento-request-id'], answer.json['request_id']]).toEqual([id, id])
    },
  )

  test('what is not a UUID is not echoed', async () => {
    const sandbox = await start()
    const answer = await api(sandbox, 'wrong', participants, { 'x-revento-request-id': 'mine' })
    expect(answer.headers['x-revento-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(Object.keys(answer.json)).toEqual(['error', 'message', 'request_id'])
  })
})

describe('budgets', () => {
  test('a token has 30 calls a minute: the 31st is 429 with Retry-After, and the next minute is free again', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    for (let left = 29; left >= 0; left -= 1) {
      const { status, headers } = await api(sandbox, access, participants)
      expect([status, headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']]).toEqual([
        200,
        '30',
        `${left}`,
      ])
    }
    sandbox.runtime.advance(20_000)
    const refused = await api(sandbox, access, participants)
    expect([refused.status, refused.json['error']]).toEqual([429, 'rate_limit_exceeded'])
    expect(refused.headers['retry-after']).toBe('40')
    expect(Number(refused.headers['x-ratelimit-reset'])).toBe(sandbox.runtime.now() / 1000 + 40)
    sandbox.runtime.advance(40_000)
    expect((await api(sandbox, access, participants)).status).toBe(200)
  })

  test('a token has 500 calls an hour, whatever the minute says', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    for (let sent = 0; sent < 500; sent += 1) {
      if (sent % 30 === 0) sandbox.runtime.advance(60_000)
      expect((await api(sandbox, access, `/events/${EVENT}`)).status).toBe(200)
    }
    const refused = await api(sandbox, access, `/events/${EVENT}`)
    expect([refused.status, refused.headers['x-ratelimit-limit']]).toEqual([429, '500'])
    expect(Number(refused.headers['retry-after'])).toBe(3600 - 16 * 60)
  })

  test('a token has five calls in flight: the sixth is 429 without Retry-After, and is free again when one ends', async () => {
    const sandbox = await start({ apiDelayMs: 1000 })
    const { access } = await connect(sandbox)
    const before = sandbox.runtime.sleeping
    const waiting = Array.from({ length: 5 }, () => api(sandbox, access, participants))
    await expect.poll(() => sandbox.runtime.sleeping).toBe(before + 5)
    const sixth = await api(sandbox, access, participants)
    expect([sixth.status, sixth.json['error']]).toEqual([429, 'concurrent_limit_exceeded'])
    expect(sixth.headers['retry-after']).toBeUndefined()
    sandbox.runtime.advance(1000)
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    let after: number | undefined
    void api(sandbox, access, participants).then(({ status }) => {
      after = status
    })
    await until(() => {
      sandbox.runtime.advance(1000)
      return after !== undefined
    })
    expect(after).toBe(200)
  })

  test('tokens do not share a budget, and errors tell it too', async () => {
    const sandbox = await start()
    const [one, two] = [await connect(sandbox), await connect(sandbox, { event_id: 'evt_test_second' })]
    await api(sandbox, one.access, participants)
    const other = await api(sandbox, two.access, participants)
    expect([other.status, other.headers['x-ratelimit-remaining']]).toEqual([403, '29'])
    const unknown = await api(sandbox, 'wrong', participants)
    expect(unknown.headers['x-ratelimit-remaining']).toBe('30')
    await post(sandbox, '/console/api/revoke')
    expect((await api(sandbox, one.access, participants)).headers['x-ratelimit-limit']).toBe('30')
  })
})
