import { ask, header } from './ask.ts'
import { type Finding, failed, ok, type Scene, unsure } from './finding.ts'

/** Webhooks are refused from 300 s on: a clock that is off by this much will get there. */
const MOST_S = 30

/** This machine's clock beside the platform's Date header (RFC 9110 section 6.6.1), which has whole seconds. */
export async function clock(scene: Scene): Promise<Finding> {
  const name = 'clock'
  const { authBase } = scene.config
  const answer = await ask(scene, authBase)
  const todo = 'Set the clock by NTP: timedatectl set-ntp true'
  if ('reason' in answer)
    return failed(
      name,
      `${authBase}: no answer (${answer.reason})`,
      'Set REVENTO_AUTH_BASE to the host that Revento gave you, and let the app reach it.',
    )
  const date = Date.parse(header(answer, 'date') ?? '')
  if (Number.isNaN(date)) return unsure(name, `${authBase} sends no Date header to compare with`, todo)
  // On average half a second of it is cut off.
  const off = Math.round((scene.runtime.now() - answer.ms / 2 - date - 500) / 1000)
  const said = `${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} Revento's`
  if (Math.abs(off) > MOST_S)
    return failed(name, `this machine's clock is ${said}; webhooks are refused from 300 s on`, todo)
  return ok(name, `this machine's clock is ${said}`)
}
