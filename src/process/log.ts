/** What the parts of the app write to; pino has this shape. Chosen fields only: never a payload, token or secret. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
