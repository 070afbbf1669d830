import { causeText, StorageError } from '../process/errors.ts'
import { BuilderMistake } from '../process/mistake.ts'
import { DataFolderError } from './data-folder.ts'
import { type Store, storeName } from './database.ts'
import { storageError, UnusableDatabaseError } from './errors.ts'
import { NewerSchemaError } from './migrate.ts'
import { postgresAdvice } from './postgres/advice.ts'

const WHOLE = [BuilderMistake, DataFolderError, NewerSchemaError, UnusableDatabaseError]

/** Explains an error of the store and says what to type; undefined where the error is about something else. */
export function storageAdvice(error: unknown, store: Store): string | undefined {
  if (error instanceof Error && WHOLE.some(type => error instanceof type)) return error.message
  const known = storageError(error)
  if (!(known instanceof StorageError)) return undefined
  const { code, cause } = known
  const why = store.kind === 'postgres' ? ` (${causeText(cause)})` : ''
  return `The database ${storeName(store)} cannot be used: ${code}${why}. ${todo(known, store)}`
}

function todo({ code, cause }: StorageError, store: Store): string {
  if (code === 'database_locked') return 'Another program holds it. Try again in a moment.'
  if (code === 'migration_failed')
    return 'Its tables are not as its list of migrations says. Nothing was changed: put a backup back.'
  if (store.kind === 'postgres') return postgresAdvice(code, causeText(cause), store)
  if (code === 'disk_full') return 'Make room on its disk, and try again.'
  if (code === 'disk_io_error') return 'Its disk does not read or write: look at the log of the system.'
  if (['database_corrupt', 'not_a_database'].includes(code))
    return (
      'It is left as it is. Check DATABASE_URL; or stop the app, and put a backup back after: ' +
      `rm ${store.path} ${store.path}-wal ${store.path}-shm`
    )
  if (/EACCES|EPERM|read_only|^cannot_open_database$/.test(code))
    return `Run this as the user of the app, who may write it and its folder: ls -ld ${store.path}* shows whose it is.`
  return 'Check DATABASE_URL and its folder.'
}
