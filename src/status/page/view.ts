/** The choice of participants that a page shows. It is read from the page's address and passed to its stream. */
export interface View {
  /** Undefined for the event that was connected last. */
  readonly eventId: string | undefined
  /** A part of the name. */
  readonly search: string | undefined
  /** An application status, or `gone`. */
  readonly status: string | undefined
  /** The id of the last participant of the page before. */
  readonly after: string | undefined
}

const LONGEST = 200

export function readView(query: URLSearchParams): View {
  const text = (name: string) => query.get(name)?.trim().slice(0, LONGEST) || undefined
  return { eventId: text('event_id'), search: text('q'), status: text('status'), after: text('after') }
}

/** The query of a view, with the members of `change` in place of its own; a new choice begins with its first page. */
export function viewQuery(view: View, change: Partial<View> = {}): string {
  const { eventId, search, status, after } = { ...view, after: undefined, ...change }
  const given = Object.entries({ event_id: eventId, q: search, status, after })
  return new URLSearchParams(given.flatMap(([name, v]) => (v === undefined ? [] : [[name, v]]))).toString()
}
