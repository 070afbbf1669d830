import { fileURLToPath } from 'node:url'
import { type Child, node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** An empty program takes about 40 ms where nothing else runs. */
const IDLE_MS = 80

/** How much slower everything is now, at least 1: other tests have the processor too. */
export async function slowness(): Promise<number> {
  const begun = performance.now()
  await node(['-e', '0']).ended
  return Math.max(1, (performance.now() - begun) / IDLE_MS)
}

export interface Started extends Child {
  folder: string
  url: string
  port: number
  sandboxPort: number
}

/** `npm start` in an empty folder on ports that nobody uses; `env` and `args` come on top. */
export async function startMain(
  o: { env?: Record<string, string>; args?: string[]; folder?: string } = {},
): Promise<Started> {
  const folder = o.folder ?? testFolder()
  const [port, sandboxPort] = [await freePort(), await freePort()]
  const ports = { PORT: String(port), SANDBOX_PORT: String(sandboxPort) }
  const env = { ...ports, DATABASE_URL: 'sqlite:data/test.db', ...o.env }
  const child = node([MAIN, ...(o.args ?? [])], { cwd: folder, env })
  return { ...child, folder, url: `http://127.0.0.1:${env.PORT}`, port, sandboxPort }
}

export const logLines = ({ output }: Child): Record<string, unknown>[] =>
  output.out
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
