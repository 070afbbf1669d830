import { Agent } from 'undici'
import { ConfigError, loadConfig, readEnvironment } from '../config.ts'
import { reasonOf } from '../revento/http.ts'
import { systemRuntime as runtime } from '../runtime.ts'
import { type Answer, post, showToken, signedHeaders } from '../webhooks/sender.ts'
import { type Asked, HELP, readArguments, Wrong } from './trigger-arguments.ts'

const TIMEOUT_MS = 10_000
const STALE_MS = 600_000

async function main(): Promise<number> {
  const asked = readArguments(() => loadConfig(readEnvironment({})))
  if (!asked) {
    console.log(HELP)
    return 0
  }
  const dispatcher = new Agent({ connect: { timeout: 5_000 }, maxResponseSize: 1024 * 1024 })
  try {
    return await trigger(asked, dispatcher)
  } catch (error) {
    if (error instanceof Wrong) throw error
    throw new Wrong(
      `No answer from ${asked.url} (${reasonOf(error)}): does it run, and is the address right?`,
    )
  } finally {
    await dispatcher.close()
  }
}

async function trigger(asked: Asked, dispatcher: Agent): Promise<number> {
  const headers = await headersOf(asked, dispatcher)
  const body = asked.tamper ? Buffer.concat([asked.body, Buffer.from(' ')]) : asked.body
  let failed = 0
  for (let i = 0; i < asked.times; i++) {
    const startedAt = runtime.monotonic()
    const answer = await post({ url: asked.url, headers, body, timeoutMs: TIMEOUT_MS }, dispatcher)
    if (answer.status < 200 || answer.status > 299) failed++
    print(asked, body.length, answer, Math.round(runtime.monotonic() - startedAt))
  }
  return failed === 0 ? 0 : 1
}

/** Once: a duplicate is the same request again. */
async function headersOf(asked: Asked, dispatcher: Agent): Promise<Record<string, string>> {
  const { provider, secret, body, type } = asked
  if (provider === 'handshake') {
    const status = await showToken({ url: asked.url, token: secret, timeoutMs: TIMEOUT_MS }, dispatcher)
    if (status !== 200)
      throw new Wrong(`The token was answered ${status}: it is not the one of ${asked.url}.`)
    return { 'content-type': 'application/json' }
  }
  const at = runtime.now() - (asked.stale ? STALE_MS : 0)
  return signedHeaders({ provider, secret, body, type, deliveryId: runtime.uuid(), at })
}

const SHOWN = ['content-type', 'retry-after', 'location']

function print(
  { url, type, json }: Asked,
  bytes: number,
  { status, headers, body }: Answer,
  ms: number,
): void {
  const shown = SHOWN.filter(name => headers[name] !== undefined).map(name => [name, String(headers[name])])
  if (json) {
    console.log(JSON.stringify({ url, type, status, ms, headers: Object.fromEntries(shown), body }))
    return
  }
  console.log(`POST ${url} (${type}, ${bytes} bytes)`)
  console.log(`${status} in ${ms} ms`)
  for (const [name, value] of shown) console.log(`${name}: ${value}`)
  console.log(printable(body))
}

/** An answer comes from anywhere: it must not move the cursor. */
const printable = (text: string) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd').trimEnd()

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof Wrong) return `${error.message}\nTry: npm run trigger -- --help`
  if (error instanceof ConfigError) return error.message
  if ((error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS'))
    return `${error.message}\nTry: npm run trigger -- --help`
  return error.message
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(explain(error))
  return 1
})
