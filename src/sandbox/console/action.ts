import type { Context } from '../context.ts'
import type { Fields } from '../fields.ts'
import type { Notice } from './notice.ts'

/** What an action did: as JSON, and for the page, where one is to look now and what it says there. */
export interface Done {
  readonly json: object
  readonly page: string
  readonly notice: Notice
}

/** Everything the console can do. Each is a form's target below /console and a JSON route below /console/api. */
export interface Action {
  readonly path: string
  /** 202: it goes on after the answer. */
  readonly status: 200 | 202
  run(context: Context, fields: Fields, id: string): Done
}

export const MOST_AT_ONCE = 200
