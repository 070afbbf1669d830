import { start } from './001-start.ts'
import {
  apiBudgets,
  erasedEvents,
  keyInstances,
  keyUses,
  parkedByConnection,
  parkedByPlatform,
  platform,
  refreshLease,
  refreshWaits,
  sealingKeys,
  senders,
  sessionPlatform,
  sessionSuccessor,
  sessionsByConnection,
  stuckDeliveries,
} from './002-to-019.ts'
import { attempts } from './007-attempts.ts'
import { endings } from './014-endings.ts'
import { builder } from './020-builder.ts'
import { jobs } from './030-jobs.ts'
import { activities, mirror, passes } from './050-mirror.ts'
import { signIns } from './055-sign-ins.ts'
import { drift } from './056-drift.ts'
import { askedAgain, operator } from './058-operator.ts'
import { outcomes } from './060-outcomes.ts'
import { onlyRuns } from './065-only-runs.ts'

/** Every migration, in the order in which they run. Add yours to src/integration/migrations instead. */
export const MIGRATIONS = {
  '001-start': start,
  '002-refresh-lease': refreshLease,
  '003-sealing-keys': sealingKeys,
  '004-erased-events': erasedEvents,
  '005-platform': platform,
  '006-session-successor': sessionSuccessor,
  '007-attempts': attempts,
  '008-senders': senders,
  '009-stuck-deliveries': stuckDeliveries,
  '010-key-uses': keyUses,
  '011-sessions-by-connection': sessionsByConnection,
  '012-refresh-waits': refreshWaits,
  '013-api-budgets': apiBudgets,
  '014-endings': endings,
  '015-parked': parkedByConnection,
  '017-key-instances': keyInstances,
  '018-session-platform': sessionPlatform,
  '019-parked-platform': parkedByPlatform,
  '020-builder': builder,
  '030-jobs': jobs,
  '050-mirror': mirror,
  '051-passes': passes,
  '052-activities': activities,
  '055-sign-ins': signIns,
  '056-drift': drift,
  '058-operator': operator,
  '060-outcomes': outcomes,
  '064-asked-again': askedAgain,
  '065-only-runs': onlyRuns,
}
