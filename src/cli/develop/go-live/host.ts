import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { storeName } from '../../../storage/database.ts'
import { ask, check, type Finding, header, type Scene } from './scene.ts'

/** A clock that is off by this much will reach the 300 s from which webhooks are refused. */
const MOST_S = 30

/** Compares this machine's clock with the platform's Date header (RFC 9110 section 6.6.1), which has whole seconds. */
export async function clock(scene: Scene): Promise<Finding> {
  const { ok, failed, unsure } = check('clock')
  const { authBase } = scene.config
  const answer = await ask(scene, authBase)
  const todo = 'Set the clock by NTP: timedatectl set-ntp true'
  if ('reason' in answer)
    return failed(
      `${authBase}: no answer (${answer.reason})`,
      'Set REVENTO_AUTH_BASE to the host that Revento gave you, and let the app reach it.',
    )
  const date = Date.parse(header(answer, 'date') ?? '')
  if (Number.isNaN(date)) return unsure(`${authBase} sends no Date header to compare with`, todo)
  // The header cuts off half a second on average.
  const off = Math.round((scene.runtime.now() - answer.ms / 2 - date - 500) / 1000)
  const said = `${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} Revento's`
  if (Math.abs(off) > MOST_S)
    return failed(`this machine's clock is ${said}; webhooks are refused from 300 s on`, todo)
  return ok(`this machine's clock is ${said}`)
}

const LOST = 'it is gone when the machine stops'
const UNSAFE = 'SQLite’s log is not safe on a network disk'
/** Linux's numbers for kinds of file systems (statfs(2)). */
const KINDS: ReadonlyMap<number, { what: string; bad: string }> = new Map([
  [0x01021994, { what: 'tmpfs', bad: LOST }],
  [0x858458f6, { what: 'ramfs', bad: LOST }],
  [0x794c7630, { what: 'overlayfs', bad: 'a container’s own layer is gone with the container' }],
  [0x6969, { what: 'NFS', bad: UNSAFE }],
  [0xff534d42, { what: 'CIFS', bad: UNSAFE }],
  [0xfe534d42, { what: 'SMB', bad: UNSAFE }],
])

const FIX =
  'Mount a local disk or a volume there, e.g. docker run -v revento-data:/data, and set DATABASE_URL to a file on it.'

/** Tries whether the folder is writable. Whether it lasts is guessed from the kind of its file system. */
export function dataFolder(
  { config, runtime }: Pick<Scene, 'config' | 'runtime'>,
  kindOf: (folder: string) => number = folder => Number(statfsSync(folder).type),
): Finding {
  const { ok, failed, unsure } = check('data folder')
  if (config.store.kind !== 'sqlite') return ok(`${storeName(config.store)} keeps the data`)
  const folder = dirname(config.store.path)
  if (!existsSync(folder)) return failed(`${folder} does not exist`, `mkdir -p ${folder}`)
  const probe = join(folder, `.go-live-${runtime.uuid()}`)
  try {
    writeFileSync(probe, 'x', { flag: 'wx' })
    rmSync(probe)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return failed(
      `${folder} is not writable for this user (${code})`,
      `Give it to the user: chown -R $(id -u) ${folder}`,
    )
  }
  if (process.platform !== 'linux')
    return unsure(`${folder} is writable; whether it lasts cannot be seen on this system`, FIX)
  const kind = KINDS.get(kindOf(folder))
  if (kind) return failed(`${folder} is on ${kind.what}: ${kind.bad}`, FIX)
  return ok(`${folder} is writable, and not in memory, a container layer or a network disk; back it up`)
}
