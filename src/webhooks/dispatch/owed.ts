import type { OwnErasing } from '../../builder/erase.ts'
import type { Connections } from '../../oauth/connections.ts'
import { FixedTextError } from '../../process/disclosure.ts'
import type { Log } from '../../process/log.ts'
import type { Runtime } from '../../process/runtime.ts'
import { momentOf } from '../../revento/events.ts'
import { DELETION_REQUIRED, SUSPENDED } from '../../revento/platform.ts'
import type { Queries } from '../../storage/database.ts'
import { type Ending, markErased, memberOf } from '../../storage/erasures.ts'
import type { EventData } from '../../storage/event-data.ts'
import { transaction } from '../../storage/sql.ts'
import { sweep } from '../../storage/sweep.ts'
import type { Claimed } from '../inbox/claim.ts'
import { keepParticipant, PARTICIPANT_TYPES } from './keep-participant.ts'

/**
 * What every integration owes the platform and its organizers, by the type of an event. It is done before the handler of
 * the type, and also without one, so that no handler can break it. It may run twice, and throws to be run again.
 */
export type Owed = Readonly<Record<string, (delivery: Claimed, signal: AbortSignal) => Promise<void>>>

export interface OwedOptions {
  readonly query: Queries
  readonly connections: Pick<Connections, 'suspendAll'>
  readonly eventData: EventData
  /** The builder's part of an erasure. */
  readonly erasing: Pick<OwnErasing, 'begin'>
  readonly log: Log
}

/** Less than the time limit of a run: an erasure that needs longer goes on in the next run. */
const SLICE_MS = 12_000

/** Thrown while something is left to erase: the delivery is put back, which is no failure. */
export class ErasureGoesOn extends FixedTextError {
  override readonly name = 'ErasureGoesOn'
}

export function createOwed(o: OwedOptions, runtime: Runtime): Owed {
  const { query, connections, eventData, erasing, log } = o
  const keep = (delivery: Claimed) => keepParticipant(eventData, delivery)
  return {
    ...Object.fromEntries(Object.keys(PARTICIPANT_TYPES).map(type => [type, keep])),
    async [DELETION_REQUIRED](delivery, signal) {
      const ending = await transaction(query, trx => markErased(trx, delivery.id, runtime.now()))
      const fields = { part: 'erasure', delivery: delivery.id, event_id: delivery.eventId }
      if (!ending) return log.warn(fields, 'data.deletion_required without an event id: nothing is erased')
      tell(log, { ...fields, organization_id: delivery.organizationId }, ending)
      await erasing.begin(ending.owner, signal)
      const slice = new AbortController()
      const stop = AbortSignal.any([signal, slice.signal])
      runtime.sleep(SLICE_MS, stop).then(
        () => slice.abort(),
        () => {},
      )
      const swept = await sweep(query, ending.owner, runtime, stop).finally(() => slice.abort())
      if (!swept) throw new ErasureGoesOn()
      log.info(fields, 'stored data of the event erased')
    },
    async [SUSPENDED]({ body }) {
      const marked = await connections.suspendAll(momentOf(memberOf(body, 'occurred_at')))
      log.warn({ part: 'oauth', connections: marked }, 'Revento has suspended this integration')
    },
  }
}

function tell(log: Log, fields: object, { owner, endsConnection, dated }: Ending): void {
  if (owner.organization_id === '')
    log.error(
      fields,
      'data.deletion_required names no organization: only what names none either is erased, and no connection ends',
    )
  if (!dated)
    log.error(
      fields,
      'data.deletion_required has no readable occurred_at: it counts as older than the connection',
    )
  if (!endsConnection)
    log.warn(
      fields,
      'data.deletion_required is older than the connection: what came before the consent is erased, the connection stays',
    )
}
