import { DELETION_REQUIRED, SUSPENDED } from '../../revento/platform.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { type Door, type Fault, findFault } from '../faults/fault-table.ts'
import { wantedIn } from '../faults/faults.ts'
import { type Fields, one, text, whole } from '../fields.ts'
import { emptyState } from '../state.ts'
import { type Change, changeConnections, end, expire, revokeRefresh } from './installations.ts'
import { add, cancel, edit, eventIn, type PeopleChange, remove } from './people.ts'
import { sendWebhooks } from './send.ts'
import { many, span } from './views.parts.ts'

/** What an action did: as JSON, and as the count and the place on the page that its redirect carries. */
interface Done {
  readonly json: object
  readonly count?: number
  /** A fault, a delivery or an event. */
  readonly what?: string
}

/** One thing that the console does: the target of a form below /console, and a JSON route below /console/api. */
interface Action {
  readonly path: string
  /** 202: the work goes on after the answer. */
  readonly status?: 202
  /** The page of its form, to which a browser returns. */
  readonly page: string
  /** Names the action in the redirect, which carries codes only: no link can make a page say anything else. */
  readonly done: string
  /** What that page then says. `fault` is the one that the action was about. */
  readonly said: (count: number, fault: Fault | undefined) => string
  readonly run: (context: Context, fields: Fields, id: string) => Done
}

const RELOAD = "Reload your app's page to see what it makes of it."
const COMPARE = 'Without a webhook your app learns of it when it compares.'
const REFRESH = 'It shows at the next refresh.'

export const ACTIONS: readonly Action[] = [
  control('expire-access-tokens', n => `${many(n, 'access token')} expired. ${RELOAD}`, expire('access')),
  control('expire-refresh-tokens', n => `${many(n, 'refresh token')} expired. ${REFRESH}`, expire('refresh')),
  control('revoke-refresh-tokens', n => `${many(n, 'refresh token')} revoked. ${REFRESH}`, revokeRefresh),
  control('revoke', n => `${many(n, 'installation')} revoked. ${RELOAD}`, end('revoked'), DELETION_REQUIRED),
  control('archive', n => ended(n, 'event was archived'), end('archived'), DELETION_REQUIRED),
  control('suspend', n => ended(n, 'integration was suspended'), end('suspended'), SUSPENDED),
  {
    path: '/clock',
    page: '/',
    done: 'clock-moved',
    said: n => `The sandbox's clock was moved forward by ${span(n * 1000)}.`,
    run: moveClock,
  },
  {
    path: '/clock/reset',
    page: '/',
    done: 'clock-reset',
    said: () => 'The clock is back at the machine’s time.',
    run(context) {
      context.clock.reset()
      context.save()
      return { json: clockOf(context) }
    },
  },
  {
    path: '/reset',
    page: '/',
    done: 'reset',
    said: () => 'The sandbox is as it was when it was new.',
    run({ state, clock, faults, deliveries, tokenRequests, save }) {
      deliveries.forget()
      clock.reset()
      faults.clear()
      tokenRequests.forget()
      Object.assign(state, emptyState())
      save()
      return { json: { reset: true } }
    },
  },
  {
    path: '/faults',
    page: '/faults',
    done: 'fault-started',
    said: (_, fault) => `Started: ${fault ? `${fault.title}.${NEXT[fault.door]}` : 'a bad day.'}`,
    run: startFault,
  },
  {
    path: '/faults/clear',
    page: '/faults',
    done: 'faults-cleared',
    said: n => `${many(n, 'bad day')} ended.`,
    run({ faults }, fields) {
      const cleared = faults.clear(text(fields, 'name'))
      return { json: { cleared }, count: cleared }
    },
  },
  {
    path: '/webhooks',
    status: 202,
    page: '/webhooks',
    done: 'webhook-sent',
    said: n => (n === 1 ? 'The webhook is on its way.' : `${n} webhooks are on their way.`),
    run(context, fields) {
      const delivery_ids = sendWebhooks(context, fields)
      const [delivery_id = ''] = delivery_ids
      return { json: { delivery_id, delivery_ids }, count: delivery_ids.length, what: delivery_id }
    },
  },
  people('', 'added', n => `${many(n, 'person', 'people')} added. ${COMPARE}`, add),
  people('/edit', 'edited', n => `${many(n, 'person', 'people')} changed. ${COMPARE}`, edit),
  people('/cancel', 'cancelled', n => `${many(n, 'person', 'people')} cancelled. ${COMPARE}`, cancel),
  people('/remove', 'removed', n => `${many(n, 'person', 'people')} removed. ${COMPARE}`, remove),
  {
    path: '/deliveries/:id/resend',
    status: 202,
    page: '/deliveries/:id',
    done: 'webhook-resent',
    said: () => 'The webhook is on its way again.',
    run({ deliveries }, _fields, id) {
      deliveries.resend(id)
      return { json: { delivery_id: id }, count: 1 }
    },
  },
]

/** What makes a fault at that door show. */
const NEXT: Record<Door, string> = {
  token: " Expire the access token, then reload your app's page.",
  api: " Reload your app's page.",
  webhook: ' Now send a webhook.',
}

/** Where a browser goes after an action, with what the page is to say. */
export function pageAfter({ page, done }: Action, { count = 0, what }: Done, id: string): string {
  const place = what ? `&what=${what}#${what}` : ''
  return `${page.replace(':id', id)}?done=${done}&count=${count}${place}`
}

/** The sentence that a redirect asked for, if it did. */
export function noticeIn(query: unknown): string | undefined {
  const action = ACTIONS.find(({ done }) => done === one(query, 'done'))
  const count = one(query, 'count') ?? ''
  return /^\d{1,9}$/.test(count)
    ? action?.said(Number(count), findFault(one(query, 'what') ?? ''))
    : undefined
}

const ended = (count: number, why: string) => `${many(count, 'installation')} ended, because the ${why}.`

function control(name: string, said: Action['said'], change: Change, webhook?: string): Action {
  const run = (context: Context, fields: Fields) => {
    const changed = changeConnections(context, fields, { name, change, webhook })
    return { json: { changed }, count: changed }
  }
  return { path: `/${name}`, page: '/', done: name, said, run }
}

function people(path: string, done: string, said: Action['said'], change: PeopleChange): Action {
  const run = (context: Context, fields: Fields) => {
    const participant_ids = change(context, fields)
    context.save()
    const what = eventIn(fields).row.id
    return { json: { participant_ids }, count: participant_ids.length, what }
  }
  return { path: `/people${path}`, page: '/people', done: `people-${done}`, said, run }
}

function moveClock(context: Context, fields: Fields): Done {
  const seconds = whole(fields, 'advance_s', 400_000_000)
  if (seconds === undefined) throw new Problem('invalid_request')
  if (!context.clock.advance(seconds * 1000)) throw new Problem('clock_limit')
  context.save()
  return { json: clockOf(context), count: seconds }
}

export const clockOf = ({ clock }: Context) => {
  return { now: new Date(clock.now()).toISOString(), offset_s: clock.offset() / 1000 }
}

function startFault({ faults }: Context, fields: Fields): Done {
  const wanted = wantedIn(fields)
  faults.start(wanted)
  const found = faults.list().find(({ fault }) => fault.name === wanted.name)
  return { json: { ...found?.term, name: wanted.name }, what: wanted.name }
}
