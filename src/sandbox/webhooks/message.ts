import type { Runtime } from '../../process/runtime.ts'
import type { Sender } from '../options.ts'

/** A webhook to be sent; the body goes out byte for byte. */
export interface Message {
  readonly sender: Sender
  readonly type: string
  readonly event_id: string | null
  readonly body: string
}

/** A believable body of a sender other than Revento. */
export const sampleBody = ({ provider }: Sender, type: string, runtime: Runtime): string =>
  provider.example({ type, id: runtime.uuid(), at: runtime.now() })

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi

/** The same body as another message: every id the sandbox made is replaced, wherever it stands. */
export function freshIds(body: string, runtime: Pick<Runtime, 'uuid'>): string {
  const fresh = new Map<string, string>()
  return body.replaceAll(UUID, id => {
    const other = fresh.get(id) ?? runtime.uuid()
    fresh.set(id, other)
    return other
  })
}

/** The body's own id, for the log. */
export function idIn(body: string): string | null {
  try {
    const { id, event_id } = Object(JSON.parse(body)) as Record<string, unknown>
    return [id, event_id].find(value => typeof value === 'string') ?? null
  } catch {
    return null
  }
}
