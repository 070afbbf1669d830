import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A request as it came. `code` and `token` say which pass it belongs to. */
export interface Heard {
  readonly raw: string
  readonly path: string
  /** By their lower-case names. */
  readonly headers: ReadonlyMap<string, string>
  readonly form: URLSearchParams
}

/** What is done with the socket on which a request has come whole. */
export type Wire = (socket: Socket) => void

export interface HostileServer {
  readonly port: number
  readonly base: string
  readonly heard: Heard[]
  /** Connections made, whether or not anything was said on them. */
  connections(): number
}

/** A server that knows no protocol: it answers any bytes, whenever it likes, or none. */
export async function hostileServer(answer: (heard: Heard) => Wire): Promise<HostileServer> {
  const heard: Heard[] = []
  const open = new Set<Socket>()
  let connections = 0
  const server = createServer(socket => {
    connections += 1
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      const request = read(text)
      if (!request) return
      text = ''
      heard.push(request)
      answer(request)(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return { port, base: `http://127.0.0.1:${port}`, heard, connections: () => connections }
}

function read(raw: string): Heard | undefined {
  const end = raw.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...lines] = raw.slice(0, end).split('\r\n')
  const headers = new Map(
    lines.map(header => [
      header.slice(0, header.indexOf(':')).toLowerCase(),
      header.slice(header.indexOf(':') + 1).trim(),
    ]),
  )
  const body = raw.slice(end + 4)
  if (body.length < Number(headers.get('content-length') ?? 0)) return undefined
  return { raw, path: line.split(' ')[1] ?? '', headers, form: new URLSearchParams(body) }
}
