import type { Agent } from 'undici'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { reasonOf } from '../../revento/http.ts'
import { type Answer, post, showToken, signedHeaders } from '../../webhooks/verify/send.ts'
import { print, printJson, readSettings, runCommand, Usage } from '../command.ts'
import { STALE_MS, withAgent } from '../network.ts'
import { type Asked, HELP, OPTIONS, readAsked } from './trigger-arguments.ts'

const TIMEOUT_MS = 10_000

async function trigger(asked: Asked, dispatcher: Agent): Promise<number> {
  const headers = await answered(asked.url, headersOf(asked, dispatcher))
  const body = asked.tamper ? Buffer.concat([asked.body, Buffer.from(' ')]) : asked.body
  let failed = 0
  for (let i = 0; i < asked.times; i++) {
    const startedAt = runtime.monotonic()
    const sent = post({ url: asked.url, headers, body, timeoutMs: TIMEOUT_MS }, dispatcher)
    const answer = await answered(asked.url, sent)
    if (answer.status < 200 || answer.status > 299) failed++
    show(asked, body.length, answer, Math.round(runtime.monotonic() - startedAt))
  }
  return failed === 0 ? 0 : 1
}

async function answered<T>(url: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Usage) throw error
    throw new Usage(`No answer from ${url} (${reasonOf(error)}): start it, or correct the address.`)
  }
}

/** The headers are made once: a duplicate is the same request again. */
async function headersOf(asked: Asked, dispatcher: Agent): Promise<Record<string, string>> {
  const { provider, secret, body, type } = asked
  if (provider === 'handshake') {
    const status = await showToken({ url: asked.url, token: secret, timeoutMs: TIMEOUT_MS }, dispatcher)
    if (status !== 200)
      throw new Usage(
        `The token was answered ${status}: ${asked.url} has another one. Set WEBHOOK_VERIFY_TOKEN, or give --secret.`,
      )
    return { 'content-type': 'application/json' }
  }
  const at = runtime.now() - (asked.stale ? STALE_MS : 0)
  return signedHeaders({ provider, secret, body, type, deliveryId: runtime.uuid(), at })
}

const SHOWN = ['content-type', 'retry-after', 'location']

function show(
  { url, type, json }: Asked,
  bytes: number,
  { status, headers, body }: Answer,
  ms: number,
): void {
  const shown = SHOWN.filter(name => headers[name] !== undefined).map(name => [name, String(headers[name])])
  if (json) {
    printJson({ url, type, status, ms, headers: Object.fromEntries(shown), body })
    return
  }
  const lines = shown.map(([name, value]) => `${name}: ${value}`)
  print(
    [`POST ${url} (${type}, ${bytes} bytes)`, `${status} in ${ms} ms`, ...lines, body.trimEnd()].join('\n'),
  )
}

await runCommand({
  name: 'trigger',
  help: HELP,
  options: OPTIONS,
  takesWords: true,
  main(flags, words) {
    const asked = readAsked(words, flags, readSettings())
    return withAgent(agent => trigger(asked, agent))
  },
})
