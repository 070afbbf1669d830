import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../context.ts'
import type { Effect } from './fault.ts'

export type Refusal = NonNullable<Effect['answer']>

export interface FaultyDoor {
  door: 'token' | 'api'
  /** Sends the fault's answer in the form of this door. */
  refuse(request: FastifyRequest, reply: FastifyReply, answer: Refusal, fault: string): FastifyReply
}

/** Lets faults strike every route of a scope: before a request is processed, or on the finished answer. */
export function strike(app: FastifyInstance, { faults, options }: Context, { door, refuse }: FaultyDoor) {
  const struck = new WeakMap<FastifyRequest, Effect>()

  app.addHook('preHandler', async (request, reply) => {
    const due = faults.due(door)
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

  /** Ends early when the caller, or the sandbox, goes. */
  async function patience(reply: FastifyReply, ms: number): Promise<void> {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    await options.runtime.sleep(ms, gone.signal).catch(() => {})
  }
}

/** The head promises all of `text`; half of it comes. Without text not even the head does. */
function cut(reply: FastifyReply, text: string): Readable {
  const { socket } = reply.request.raw
  if (text === '') socket.destroy()
  else reply.header('content-length', Buffer.byteLength(text))
  // Only once the half has left: destroying at once would take the head along.
  reply.raw.once('finish', () => socket.destroy())
  return Readable.from(text === '' ? [] : [text.slice(0, text.length / 2)])
}
