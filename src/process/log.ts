/** The log as the rooms use it. They pass chosen fields only: never a payload, token or secret. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
