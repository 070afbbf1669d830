import { FixedTextError } from './disclosure.ts'

/** The store cannot do its work now. `code` is for the log and /ready; callers only ever see 503. */
export class StorageError extends FixedTextError {
  readonly code: string
  /** Nothing was kept of the transaction that this ended, and another try may succeed. */
  readonly repeatable: boolean
  constructor(code: string, options: { cause?: unknown; repeatable?: boolean } = {}) {
    super(`storage: ${code}`, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'StorageError'
    this.code = code
    this.repeatable = options.repeatable ?? false
  }
}

/** Its code where it has no text: so it is of an attempt at several addresses. */
export function causeText(cause: unknown): string {
  const { message, code } = (cause ?? {}) as NodeJS.ErrnoException
  return message || code || 'no cause is known'
}
