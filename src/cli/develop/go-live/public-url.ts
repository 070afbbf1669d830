import { type Answered, ask, check, errorCode, type Finding, header, type Scene } from './scene.ts'

const PASS_ON = 'Have the proxy pass every request on to the app, e.g. proxy_pass http://127.0.0.1:3000;'

/** Whether the app is reached at all, which every later check needs. */
export async function reachable(scene: Scene): Promise<Finding> {
  const { ok, failed } = check('public URL')
  const url = `${scene.config.origin}/health`
  const answer = await ask(scene, url)
  if ('reason' in answer) return failed(`${url}: no answer (${answer.reason})`, answer.todo)
  const moved = redirected(scene, answer, '/health')
  if (moved) return moved
  if (answer.status !== 200 || answer.text !== '{"status":"ok"}')
    return failed(`${url} is answered ${answer.status}, and not by this app`, PASS_ON)
  const ready = await ask(scene, `${scene.config.origin}/ready`)
  if ('reason' in ready || ready.status !== 200)
    return failed('the app answers but cannot store: /ready is not 200', 'See the reason in its answer.')
  return ok(`${scene.config.origin} is this app, and it can store`)
}

/** A proxy that redirects https callers, to http or elsewhere, lets no webhook through. */
function redirected({ config }: Scene, answer: Answered, path: string): Finding | undefined {
  const location = header(answer, 'location')
  if (answer.status < 300 || answer.status > 399 || location === undefined) return undefined
  const said = `the proxy answers GET ${path} with a redirect to ${location}`
  return check('proxy scheme').failed(
    location.startsWith('http:') ? `${said}: from https to http` : said,
    `Redirect only http to https, and on https pass on to the app, whose address is ${config.origin}.`,
  )
}

/** Starts a flow as an organizer's browser does. */
export async function connect(scene: Scene): Promise<Finding[]> {
  const { config } = scene
  const { failed } = check('https')
  if (!config.https)
    return [
      failed(
        `${config.redirectUri} is not https`,
        'Set REVENTO_REDIRECT_URI to the https URL as registered.',
      ),
    ]
  const answer = await ask(scene, `${config.origin}/connect?event_id=evt_go_live`)
  if ('reason' in answer) return [failed(`no answer (${answer.reason})`, answer.todo)]
  const location = header(answer, 'location') ?? ''
  const moved = location.startsWith(config.authBase) ? undefined : redirected(scene, answer, '/connect')
  if (moved) return [moved]
  if (answer.status !== 302 || !URL.canParse(location))
    return [failed(`GET /connect is answered ${answer.status}, not with a redirect to Revento`, PASS_ON)]
  return [scheme(scene, location), await cookie(scene, answer, location)]
}

function scheme({ config }: Scene, location: string): Finding {
  const { ok, failed } = check('https')
  const sent = new URL(location).searchParams.get('redirect_uri')
  if (sent === config.redirectUri)
    return ok(`the app sends the organizer to Revento with redirect_uri=${sent}`)
  return failed(
    `the running app sends the redirect URI ${sent}, and these settings have ${config.redirectUri}`,
    'Give the app the same REVENTO_REDIRECT_URI and restart it.',
  )
}

/** Checks the cookie both ways: it has to leave through the proxy, and to come in again. */
async function cookie(scene: Scene, answer: Answered, location: string): Promise<Finding> {
  const { ok, failed } = check('cookies')
  const [line = ''] = [answer.headers['set-cookie'] ?? []].flat()
  if (line === '')
    return failed(
      'GET /connect brings no Set-Cookie: the proxy strips it',
      'Have the proxy pass Set-Cookie on; cache nothing of the app.',
    )
  const keeps = [/^__Host-[^=]+=/, /;\s*secure/i, /;\s*path=\/(;|$)/i].every(part => part.test(line))
  if (!keeps || /;\s*domain=/i.test(line))
    return failed(
      'the flow cookie has lost __Host-, Secure or Path=/, or got a Domain',
      'Take every rewriting of cookies out of the proxy.',
    )
  const state = new URL(location).searchParams.get('state') ?? ''
  // This error blames the organizer for nothing: it ends the flow, and sends nothing to Revento.
  const back = new URLSearchParams({ error: 'temporarily_unavailable', state })
  const url = `${scene.config.origin}/callback?${back}`
  const ended = await ask(scene, url, { headers: { cookie: line.split(';', 1)[0] ?? '' } })
  if ('reason' in ended) return failed(`GET /callback: no answer (${ended.reason})`, ended.todo)
  if (errorCode(ended) === 'upstream_error') return ok('the flow cookie survives the way to Revento and back')
  if (errorCode(ended) === 'state_mismatch')
    return failed(
      'the Cookie header does not reach the app: the proxy strips it',
      'Have the proxy pass Cookie on, on every path.',
    )
  return failed(
    `GET /callback is answered ${ended.status}: the query does not reach the app as it is`,
    PASS_ON,
  )
}
