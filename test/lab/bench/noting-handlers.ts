import { openSync, writeSync } from 'node:fs'
import { handlers } from '../../../src/integration/handlers/index.ts'

/** Loaded before the program, in its process: a line of `ended.txt` for each handler that ends, there before a kill. */
const file = openSync('ended.txt', 'a')
type Any = (context: { delivery: { id: number } }) => Promise<unknown>
const list = handlers.revento as Record<string, Any | undefined>

for (const [type, handler] of Object.entries(list))
  list[type] = async context => {
    await handler?.(context)
    writeSync(file, `${context.delivery.id}\n`)
  }
