import { createHmac, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/** What one load does. `url` is plain http; every connection sends its next delivery when the last was answered. */
export interface Load {
  readonly url: string
  readonly secret: string
  readonly type: string
  readonly connections: number
  readonly seconds: number
}

/** Times in milliseconds. `refused` is every answer but 200. */
export interface LoadResult {
  readonly accepted: number
  readonly refused: number
  readonly rps: number
  readonly p50: number
  readonly p99: number
}

/**
 * Plain sockets: a client library would use more of the machine than the server that is measured. Random ids, because
 * ids in order flatter an index.
 */
async function load(o: Load): Promise<LoadResult> {
  const end = performance.now() + o.seconds * 1000
  const latencies: number[] = []
  let refused = 0
  const url = new URL(o.url)
  const connection = async () => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    while (performance.now() < end) {
      const begun = performance.now()
      const status = await exchange(socket, delivery(o, url))
      if (status === 200) latencies.push(performance.now() - begun)
      else refused++
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: o.connections }, connection))
  latencies.sort((a, b) => a - b)
  const at = (share: number) => Math.round((latencies[Math.floor(latencies.length * share)] ?? 0) * 10) / 10
  return {
    accepted: latencies.length,
    refused,
    rps: Math.round(latencies.length / o.seconds),
    p50: at(0.5),
    p99: at(0.99),
  }
}

const FILLER = 'x'.repeat(530)

/** About 800 bytes of body. */
function delivery({ secret, type }: Load, url: URL): string {
  const id = randomUUID()
  const data = { id, participant_id: `ptp_${id}`, status: 'approved', note: FILLER }
  const ids = { event_id: 'evt_test_published', organization_id: 'org_test_formal' }
  const event = { id: `evt_delivery_${id}`, type, occurred_at: new Date().toISOString(), ...ids, data }
  const body = JSON.stringify(event)
  const timestamp = String(Math.floor(Date.now() / 1000))
  const mac = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  return [
    `POST ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    `x-revento-delivery-id: ${randomUUID()}`,
    `x-revento-event: ${type}`,
    `x-revento-timestamp: ${timestamp}`,
    `x-revento-signature: sha256=${mac}`,
    '',
    body,
  ].join('\r\n')
}

/** Every server here answers with a Content-Length. */
function exchange(socket: Socket, request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = ''
    const settle = (done: () => void) => {
      socket.off('data', read).off('error', reject).off('close', closed)
      done()
    }
    const closed = () => settle(() => reject(new Error('the server closed the connection')))
    const read = (chunk: Buffer) => {
      received += chunk.toString('latin1')
      const head = received.indexOf('\r\n\r\n')
      if (head === -1) return
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (received.length >= head + 4 + length) settle(() => resolve(Number(received.slice(9, 12))))
    }
    socket.on('data', read).once('error', reject).once('close', closed)
    socket.write(request)
  })
}

/** A process of its own: node test/lab/bench/load.ts '{"url":…}' prints one line of JSON. */
if (import.meta.main)
  process.stdout.write(`${JSON.stringify(await load(JSON.parse(process.argv[2] ?? '{}')))}\n`)
