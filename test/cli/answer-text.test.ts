// part: senders, tools
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { typed } from '../helpers/typed.ts'

const TRIGGER = fileURLToPath(new URL('../../src/cli/develop/trigger.ts', import.meta.url))

/** Controls of both sets, a line of its own, and text that runs the other way. */
const ODD = '\u0085\u009b2J\u00adtext'

test('what an answer holds moves no cursor, in its headers, in its body and as JSON', async () => {
  const server = createServer((_request, response) => {
    response
      .writeHead(200, { 'retry-after': ODD, 'content-type': 'text/plain' })
      .end(`${ODD}\u007f\u001b[2J\u202e`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  for (const how of [[], ['--json']]) {
    const { code, out } = await typed(TRIGGER, ['barker', '--url', url, ...how])
    expect(code).toBe(0)
    expect(out).toContain('\\u009b2J')
    expect(out).toContain('\\u202e')
    expect(out.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  }
})
