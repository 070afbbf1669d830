/** The shape of an event's `data`, for the types only: `data<{ badge_id: string }>()`. */
export interface EventDataOf<Data extends object> {
  readonly data?: Data
}

export const data = <Data extends object = Record<string, unknown>>(): EventDataOf<Data> => ({})
