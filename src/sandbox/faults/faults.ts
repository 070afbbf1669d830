import { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Runtime } from '../../process/runtime.ts'
import { Problem } from '../api/problem.ts'
import { type Fields, one, text, whole } from '../fields.ts'
import { MOST_AT_ONCE } from '../webhooks/delivery.ts'
import { type Door, type Effect, FAULTS, type Fault, findFault } from './fault-table.ts'

/** How long a fault lasts: for `left` more times, or until a moment in milliseconds; the other is null. */
export interface Term {
  left: number | null
  until: number | null
  /** The number of deliveries in a burst. */
  size: number
}

type Wanted = { name: string; size?: number | undefined } & ({ count: number } | { seconds: number })

const MOST_TIMES = 1000
const DAY_S = 86_400

/** The fault that a request asks for, by `count` or `seconds`; a form has `amount` and `unit` instead. */
export function wantedIn(fields: Fields): Wanted {
  const name = text(fields, 'name') ?? ''
  if (!findFault(name)) throw new Problem('unknown_fault')
  const unit = text(fields, 'unit')
  if (unit !== undefined && unit !== 'count' && unit !== 'seconds') throw new Problem('invalid_request')
  const given = unit ? { [unit]: fields['amount'] } : fields
  const [count, seconds] = [whole(given, 'count', MOST_TIMES), whole(given, 'seconds', DAY_S)]
  const term = { name, size: whole(fields, 'size', MOST_AT_ONCE) }
  if (count !== undefined && seconds === undefined) return { ...term, count }
  if (seconds !== undefined && count === undefined) return { ...term, seconds }
  throw new Problem('invalid_term')
}

export const BURST_SIZE = 25

export type Faults = ReturnType<typeof createFaults>

/** Faults live in memory only: a restart ends them. Terms run on the machine's time. */
export function createFaults(runtime: Pick<Runtime, 'now'>, log: FastifyBaseLogger) {
  const active = new Map<string, Term>()
  const struck = new Map<string, number>()

  function forgetPast() {
    for (const [name, { until }] of active) if (until !== null && runtime.now() >= until) active.delete(name)
  }

  /** The fault that strikes at a door now, if any: the one that was started first. It is counted down. */
  function due(door: Door, isLaterPage = false): { fault: Fault; size: number } | undefined {
    forgetPast()
    const strikes = (fault: Fault | undefined) =>
      fault?.door === door && (isLaterPage || !fault.effect.laterPages)
    const found = [...active].find(([name]) => strikes(findFault(name)))
    const fault = found && findFault(found[0])
    if (!found || !fault) return undefined
    const [name, term] = found
    struck.set(name, (struck.get(name) ?? 0) + 1)
    if (term.left !== null) term.left -= 1
    if (term.left === 0) active.delete(name)
    log.info({ part: 'sandbox', fault: name, left: term.left }, 'sandbox fault')
    return { fault, size: term.size }
  }

  return {
    due,
    /** Starts a fault of the table, in place of the term that it had. */
    start(wanted: Wanted): void {
      const size = wanted.size ?? BURST_SIZE
      active.delete(wanted.name)
      if ('count' in wanted) active.set(wanted.name, { left: wanted.count, until: null, size })
      else active.set(wanted.name, { left: null, until: runtime.now() + wanted.seconds * 1000, size })
    },
    /** Ends one fault, or all without a name, and answers how many were active. */
    clear(name?: string): number {
      forgetPast()
      const ended = [...active.keys()].filter(known => name === undefined || known === name)
      for (const known of ended) active.delete(known)
      return ended.length
    },
    /** Every fault, with its term while it is active, and how often it struck. */
    list() {
      forgetPast()
      return FAULTS.map(fault => {
        const { name } = fault
        return { fault, term: active.get(name) ?? null, struck: struck.get(name) ?? 0 }
      })
    },
  }
}

export type Refusal = NonNullable<Effect['answer']>

interface FaultyDoor {
  faults: Faults
  runtime: Pick<Runtime, 'sleep'>
  door: 'token' | 'api'
  /** Sends the answer of a fault in the form of this door. */
  refuse(request: FastifyRequest, reply: FastifyReply, answer: Refusal, fault: string): FastifyReply
}

/** Lets faults strike every route of a scope, before a request is processed or on the finished answer. */
export function strike(app: FastifyInstance, { faults, runtime, door, refuse }: FaultyDoor) {
  const struck = new WeakMap<FastifyRequest, Effect>()

  app.addHook('preHandler', async (request, reply) => {
    const due = faults.due(door, one(request.query, 'cursor') !== undefined)
    if (!due) return undefined
    struck.set(request, due.fault.effect)
    const { answer } = due.fault.effect
    return answer && refuse(request, reply, answer, due.fault.name)
  })

  app.addHook('onSend', async (request, reply, payload) => {
    const effect = struck.get(request)
    if (effect?.delayMs) await patience(reply, effect.delayMs)
    if (!effect?.cut) return payload
    return cut(reply, effect.cut === 'half' ? String(payload) : '')
  })

  /** Waits, at most until the caller or the sandbox closes the connection. */
  async function patience(reply: FastifyReply, ms: number): Promise<void> {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    await runtime.sleep(ms, gone.signal).catch(() => {})
  }
}

/** The head announces all of `text`, and half of it is sent. Without text not even the head is. */
function cut(reply: FastifyReply, text: string): Readable {
  const { socket } = reply.request.raw
  if (text === '') socket.destroy()
  else reply.header('content-length', Buffer.byteLength(text))
  // Destroying the socket before the half has left would drop the head with it.
  reply.raw.once('finish', () => socket.destroy())
  return Readable.from(text === '' ? [] : [text.slice(0, text.length / 2)])
}
