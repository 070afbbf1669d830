import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { Agent } from 'undici'
import type { Config } from '../config/settings.ts'

/** The age of a webhook that must be refused: ten minutes, twice what is allowed. */
export const STALE_MS = 600_000

/** Where the app listens on this machine, whatever proxy stands before it. */
export function appAddress({ host, port }: Config): string {
  const own = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return `http://${own.includes(':') ? `[${own}]` : own}:${port}`
}

/** Runs `work` with connections of its own, which end with it. */
export async function withAgent<T>(work: (agent: Agent) => Promise<T>): Promise<T> {
  const agent = new Agent({ connect: { timeout: 5_000 }, maxResponseSize: 1024 * 1024 })
  try {
    return await work(agent)
  } finally {
    await agent.close()
  }
}

/** A free port below those that systems give to outgoing connections and port 0, which may be taken again too soon. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(27_000, 32_000)
    if (await isFree(port)) return port
  }
}

export const isFree = (port: number) =>
  new Promise<boolean>(resolve => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
