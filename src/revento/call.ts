/** One thing asked of Revento, for the story of who asked it. `at` in ms since 1970. */
export interface Call {
  readonly at: number
  readonly ms: number
  /** `GET` and the path without its query, or `token refresh`. */
  readonly what: string
  /** Status and code as they came: `200`, `429 rate_limit_exceeded`, `upstream_timeout`, `ok`. */
  readonly result: string
  /** As sent to Revento, so that its side can be asked. */
  readonly request_id?: string
}
