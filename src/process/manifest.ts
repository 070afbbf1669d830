import { readFileSync } from 'node:fs'

export interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
}

export const readManifest = (): Manifest =>
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

/** Change this text together with "engines" in package.json. */
const WHY = 'the security release of October 2026 (CVE-2026-111497 and nine others)'

/** The warning where the running Node (as in process.versions.node) is older than package.json allows. */
export function nodeTooOld(running: string, { engines }: Pick<Manifest, 'engines'>) {
  const floor = engines.node.replace('>=', '')
  if (!isOlder(running, floor)) return undefined
  const newer = `Install Node ${floor} or a newer ${floor.split('.')[0]}, then run npm ci: npm start uses it from then on`
  return {
    problem: `Node ${running} is older than ${floor}, and lacks ${WHY}`,
    todo: `${newer} (on Windows delete node_modules\\.bin\\node* as well).`,
  }
}

const isOlder = (version: string, floor: string): boolean => {
  const [parts, least] = [version.split('.').map(Number), floor.split('.').map(Number)]
  const differs = least.findIndex((part, n) => part !== parts[n])
  return differs >= 0 && (parts[differs] ?? 0) < (least[differs] ?? 0)
}
