/** What the token endpoint was asked and how it answered; no secrets. `total` counts beyond what is kept. */
export interface TokenRequest {
  at: string
  grant_type: string
  event_id: string | null
  /** `issued`, or the error code. */
  outcome: string
}

export interface TokenRequests {
  add(entry: TokenRequest): void
  list(): { total: number; data: TokenRequest[] }
}

const KEPT = 500

export function createTokenRequests(): TokenRequests {
  const data: TokenRequest[] = []
  let total = 0
  return {
    add(entry) {
      total += 1
      data.push(entry)
      if (data.length > KEPT) data.shift()
    },
    list: () => ({ total, data: [...data] }),
  }
}
