import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Queries } from '../../storage/database.ts'
import { redact } from '../../webhooks/inbox/redact.ts'
import { parseLossless } from '../../webhooks/verify/lossless-json.ts'
import { Refused } from '../command.ts'

const HARNESS = fileURLToPath(new URL('../../../test/helpers/handlers.ts', import.meta.url))

/** Writes a delivery's redacted payload as a fixture, and a test that sends it to your handlers. Overwrites nothing. */
export async function capture(query: Queries, id: string, folder: string) {
  const event = await payloadOf(query, id)
  const name = `${fileName(event.type)}-${id}`
  const fixture = join(folder, 'captured', `${name}.json`)
  const test = join(folder, `captured-${name}.test.ts`)
  for (const file of [fixture, test])
    if (existsSync(file)) throw new Refused(`${file} is there already: remove it, or give another --out.`)
  mkdirSync(join(folder, 'captured'), { recursive: true })
  writeFileSync(fixture, `${JSON.stringify({ provider: 'revento', type: event.type, event }, null, 2)}\n`)
  writeFileSync(test, testText(event.type, id, { name, folder }))
  return { fixture, test }
}

async function payloadOf(query: Queries, id: string): Promise<{ type: string }> {
  const row = await query
    .selectFrom('inbox')
    .select(['provider', 'type', 'body', 'duplicate_of'])
    .where('id', '=', Number(id))
    .executeTakeFirst()
  if (!row) throw new Refused(`There is no delivery ${id}. Try: npm run -s deliveries -- list`)
  if (row.provider !== 'revento')
    throw new Refused(`Delivery ${id} is from ${row.provider}: only Revento's can be captured.`)
  if (row.duplicate_of !== null)
    throw new Refused(
      `Delivery ${id} has no payload of its own: capture ${row.duplicate_of}, which it repeats.`,
    )
  if (row.body === null) throw new Refused(`The payload of delivery ${id} was erased.`)
  const event = redact(parseLossless(Buffer.from(row.body).toString('utf8'))) as Record<string, unknown>
  return { ...event, type: row.type }
}

/** The sender chose the type, which must not choose the folder. */
const fileName = (type: string) =>
  type
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '') || 'event'

function testText(type: string, id: string, { name, folder }: { name: string; folder: string }): string {
  const path = relative(resolve(folder), HARNESS).replaceAll('\\', '/')
  const harness = path.startsWith('.') ? path : `./${path}`
  const title = JSON.stringify(
    `${type.replaceAll(/[^\w.-]/g, '?')}, as captured from delivery ${id}, is handled once`,
  )
  return `import { afterEach, beforeEach, expect, test } from 'vitest'
import { capturedEvent, type HandlerApp, startHandlers } from '${harness}'

/** Redacted: personal data, and whatever Revento does not document, is made up; names of members, too. */
const event = capturedEvent(new URL('./captured/${name}.json', import.meta.url))

let app: HandlerApp
beforeEach(async () => {
  app = await startHandlers()
})
afterEach(() => app.close())

test('${title.slice(1, -1)}', async () => {
  const { type, event_id, organization_id } = event
  if (event_id !== null) await app.connect(event_id, organization_id ?? undefined)
  expect(await app.deliver(type, { ...event })).toBe('done')
  // Check here what it must leave behind, for instance: expect(await app.participants()).toMatchObject([{ … }])
  expect(await app.deliver(type, { ...event })).toBe('duplicate')
})
`
}
