/**
 * What a list shows of a handler's error; the log has the stack. Never throws: an error may be anything, also one whose
 * message is no text, and whoever asks has a delivery to settle.
 */
export function errorText(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 200) : 'error'
  } catch {
    return 'error'
  }
}
