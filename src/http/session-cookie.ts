import { createHmac, hash } from 'node:crypto'
import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Runtime } from '../process/runtime.ts'

/** The 256 random bits in the cookie of a session. */
interface SessionSecret {
  readonly text: string
  /** The hash of the text, which is all that the store has. */
  readonly id: string
  /** A token that stands in each form: only a page made for this session knows it. */
  readonly formToken: string
}

export interface SessionCookie {
  /** Undefined where the browser sent nothing that has the form of a secret. */
  read(request: FastifyRequest): SessionSecret | undefined
  make(): SessionSecret
  set(reply: FastifyReply, secret: SessionSecret): void
  clear(reply: FastifyReply): void
}

const FORM = /^[A-Za-z0-9_-]{43}$/

export function createSessionCookie(
  name: string,
  lifetimeMs: number,
  options: CookieSerializeOptions,
  runtime: Pick<Runtime, 'bytes'>,
): SessionCookie {
  return {
    read({ cookies }) {
      const text = cookies[name]
      return text !== undefined && FORM.test(text) ? secretOf(text) : undefined
    },
    make: () => secretOf(runtime.bytes(32).toString('base64url')),
    set: (reply, { text }) => void reply.setCookie(name, text, { ...options, maxAge: lifetimeMs / 1000 }),
    clear: reply => void reply.clearCookie(name, options),
  }
}

const secretOf = (text: string): SessionSecret => ({
  text,
  id: hash('sha256', text, 'base64url'),
  formToken: createHmac('sha256', text).update('form').digest('base64url'),
})
