import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'

export interface RoundRobin {
  readonly url: string
  /** The origins. Each request goes to the one after that of the last request of its path. */
  targets: readonly string[]
  /** The path and the target of each request, in the order in which they came. */
  readonly served: readonly { readonly path: string; readonly target: string }[]
  close(): Promise<void>
}

/** A balancer without sticky sessions: the caller does not decide which target answers. */
export async function startRoundRobin(port: number): Promise<RoundRobin> {
  const served: { path: string; target: string }[] = []
  const turns = new Map<string, number>()
  const balancer = { url: `http://localhost:${port}`, targets: [] as readonly string[], served }
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url?.split('?', 1)[0] ?? ''
    const turn = (turns.get(path) ?? turns.size) + 1
    turns.set(path, turn)
    const target = balancer.targets[turn % balancer.targets.length] ?? ''
    served.push({ path, target })
    pass(incoming, outgoing, target)
  })
  await new Promise<void>(resolve => server.listen(port, resolve))
  return Object.assign(balancer, {
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, target: string): void {
  const { method, headers, url } = incoming
  const onward = request(target + url, { method, headers, agent: false }, answer => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.on('error', () => outgoing.destroy()).pipe(outgoing)
  })
  onward.on('error', () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end()))
  outgoing.on('close', () => onward.destroy())
  incoming.pipe(onward)
}
