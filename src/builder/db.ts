import { AsyncLocalStorage } from 'node:async_hooks'
import type { Kysely, KyselyPlugin } from 'kysely'
import type { Tables } from '../integration/tables.ts'
import { FixedTextError } from '../process/disclosure.ts'
import { HandlerMistake } from '../process/mistake.ts'
import { whenAborted } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { createGuard } from './guard.ts'

/** The views of our tables, whose names and columns do not change. The builder's code may only read them. */
export interface Views {
  revento_participants: ParticipantsView
  revento_connections: ConnectionsView
}

/** A participant as Revento's list or a webhook described them last; see src/builder/participants.ts. */
export interface ParticipantsView {
  platform: Platform
  event_id: string
  /** Empty where the webhook named no organization. */
  organization_id: string
  participant_id: string
  name: string | null
  application_status: string | null
  role: string | null
  last_reviewed_at: string | null
  last_reviewer_id: string | null
  last_review_action: string | null
  /** Revento's row, as JSON. */
  data: string | null
  /** In ms since 1970. */
  first_seen_at: number
  /** ISO 8601 by Revento's clock: when a list had them last, and since when none has. */
  listed_at: string | null
  gone_at: string | null
  /** The newest webhook about them, and its time in ISO 8601; empty where none came or it named no time. */
  last_type: string
  occurred_at: string
  /** In ms since 1970. */
  updated_at: number
}

/** An organizer's connection, without its tokens. */
export interface ConnectionsView {
  platform: Platform
  event_id: string
  organization_id: string
  state: 'connected' | 'reconsent' | 'revoked' | 'suspended' | 'deleted'
  reason: string | null
  /** The granted scopes, separated by one space. */
  scope: string
  /** In ms since 1970. */
  connected_at: number
  updated_at: number
}

/** The database as the builder's code sees it. */
export type Db = Kysely<Views & Tables>

/** Set for code that runs inside a transaction of the builder's. */
const inTransaction = new AsyncLocalStorage<true>()

export function refuseInTransaction(): void {
  if (inTransaction.getStore())
    throw new HandlerMistake('inside a transaction use the trx that it hands out, and neither db nor once()')
}

/** On SQLite all other work waits for a transaction, the storing of webhooks too. */
const TRANSACTION_MS = 5_000

/**
 * Makes the database of one run. Once the signal has fired it refuses every query, so that a handler that goes on after
 * its end changes nothing. A transaction has a time limit, and inside it only its `trx` may be used: on SQLite it holds
 * the only connection, so that a query beside it would wait for ever.
 */
export function ownDb(query: Queries, signal?: AbortSignal): Db {
  const outside: KyselyPlugin = {
    transformQuery(query) {
      refuseInTransaction()
      return query.node
    },
    transformResult: async ({ result }) => result,
  }
  const db = query.withPlugin(createGuard(signal)).withPlugin(outside)
  const transaction = () => bounded(query.transaction(), signal)
  return Object.assign(db, {
    transaction,
    startTransaction: refuse,
    connection: refuse,
    destroy: refuse,
  }) as unknown as Db
}

type Transactions = ReturnType<Queries['transaction']>

/** Kysely's transaction builder, whose `execute` also ends at the time limit and when the signal fires. */
function bounded(begun: Transactions, signal: AbortSignal | undefined): object {
  return {
    setIsolationLevel: (level: Parameters<Transactions['setIsolationLevel']>[0]) =>
      bounded(begun.setIsolationLevel(level), signal),
    setAccessMode: (mode: Parameters<Transactions['setAccessMode']>[0]) =>
      bounded(begun.setAccessMode(mode), signal),
    execute: (work: (trx: Queries) => Promise<unknown>) => {
      refuseInTransaction()
      return begun.execute(trx => {
        const late = AbortSignal.timeout(TRANSACTION_MS)
        const until = AbortSignal.any([late, ...(signal ? [signal] : [])])
        const running = inTransaction.run(true, async () => work(trx.withPlugin(createGuard(until))))
        const ended = whenAborted(until).catch(reason => {
          throw late.aborted ? new TransactionTooLong() : reason
        })
        return Promise.race([running, ended])
      })
    },
  }
}

class TransactionTooLong extends FixedTextError {
  override readonly name = 'TransactionTooLong'
  constructor() {
    super(
      'a transaction took more than 5 s, and nothing of it was kept: await nothing but the database in it',
    )
  }
}

function refuse(): never {
  throw new HandlerMistake('db is opened and closed by the app: use db.transaction().execute(async trx => …)')
}
