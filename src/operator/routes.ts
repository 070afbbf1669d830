import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { Html, html } from '../http/html.ts'
import {
  createLive,
  everyTenSeconds,
  type Listening,
  marksOf,
  type Rendered,
  sendStream,
  soon,
} from '../http/live.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { singleParameters } from '../http/parameters.ts'
import { checkForm, checkOrigin, field, REFUSED } from '../pages/forms.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Deliveries, DeliveryStory } from '../webhooks/inbox/deliveries.ts'
import { type Filter, filterQuery, readFilter } from './filter.ts'
import { operatorPage, pressForm, signInPage } from './layout.ts'
import { type OverviewParts, readOverview } from './overview.ts'
import type { InboxQueries } from './queries.ts'
import { askAgain, askForce, askReplay, askStop, type Question } from './questions.ts'
import { PER_STEP, type Replay, type Replays } from './replays.ts'
import type { OperatorSession, OperatorSessions } from './sessions.ts'
import { listBody } from './views.list.ts'
import { many, overviewParts } from './views.overview.ts'
import { replayList, replaysBody, wordsOf } from './views.replays.ts'
import { type StoryView, shownPayload, storyBody, storyParts } from './views.story.ts'

export interface OperatorRoutesOptions {
  readonly appName: string
  readonly origin: string
  readonly production: boolean
  readonly sessions: OperatorSessions
  /** Whether this caller may try a token once more. */
  readonly mayTry: (request: FastifyRequest) => boolean
  readonly inbox: InboxQueries
  readonly replays: Replays
  readonly deliveries: Deliveries
  readonly providers: readonly string[]
  readonly overview: OverviewParts
  readonly runtime: Runtime
}

const LISTED = 50
const REPLAYS_LISTED = 20
/** Where a sign-in may lead: a page of the operator's own. */
const NEXT = /^\/operator(\/[\w/?=&%.:+-]*)?$/
const ROW_ID = /^[1-9]\d{0,14}$/

/** The operator's pages, and the forms on them. Each demands an operator's session; no other session counts. */
export const operatorRoutes: FastifyPluginAsync<OperatorRoutesOptions> = async (app, o) => {
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: 4096 })
  const { appName, sessions, runtime, inbox, replays } = o
  const trouble = everyTenSeconds(o.overview.trouble, runtime)
  const overviewNow = () => readOverview({ ...o.overview, trouble: () => soon(runtime, trouble()) }, runtime)
  const live = createLive(
    {
      alive: sessions.alive,
      async look() {
        let overview: Promise<Rendered> | undefined
        return async (_seen, page) => {
          if (page.selected === '') overview ??= overviewNow().then(overviewParts)
          return overview && page.selected === '' ? overview : partsOf(page)
        }
      },
      log: app.log,
    },
    runtime,
  )
  app.addHook('preClose', async () => live.close())

  /** What a page other than the overview shows: the replays, or one delivery. */
  async function partsOf({ selected, session }: Listening): Promise<Rendered> {
    if (selected === 'replays') return { list: await replaysNow(session) }
    const view = await storyOf(selected)
    return view ? storyParts(view) : {}
  }

  const replaysNow = async (session: OperatorSession) =>
    replayList(await replays.list(REPLAYS_LISTED), stopForm(session)).text

  async function storyOf(id: string): Promise<StoryView | undefined> {
    const story = await o.deliveries.find(id, 'operator')
    if (!story) return undefined
    const [reruns, arrival] = [await inbox.reruns(Number(id)), await inbox.arrival(Number(id))]
    return { story, reruns, arrival, now: runtime.now() }
  }

  /** Shows a page to an operator, and the form for the token to everybody else. */
  const page = (path: string, draw: (request: FastifyRequest, session: OperatorSession) => Promise<string>) =>
    app.get<{ Params: { id: string } }>(path, { onRequest: sendToOwnHost(o) }, async (request, reply) => {
      const session = await sessions.read(request)
      reply.type('text/html; charset=utf-8')
      if (session) return reply.send(await draw(request, session))
      return reply.code(401).send(signInPage(appName, { next: request.url }))
    })

  /** A form of an operator's page. Nothing else is taken: neither another session, nor another site's form. */
  const press = (
    path: string,
    act: (request: FastifyRequest, session: OperatorSession, reply: FastifyReply) => Promise<unknown>,
  ) =>
    app.post(path, async (request, reply) => {
      const session = await sessions.read(request)
      if (!session) throw new AppError('unauthenticated', { reason: 'no_operator' })
      checkForm(request, session, o.origin)
      reply.header('cache-control', 'no-store')
      return act(request, session, reply)
    })

  /** A step that changes something is asked about on a page of its own first: a session alone only reads. */
  const confirmed = (request: FastifyRequest) => field(request, 'confirmed') === 'yes'
  const ask = (request: FastifyRequest, session: OperatorSession, reply: FastifyReply, q: Question) => {
    const { title, text, button, back, look, more, fields } = q
    const form = { fields: { ...fields, confirmed: 'yes' }, ...(look && { look }), ...(more && { more }) }
    const body = html`<h1>${title}</h1>
<p class="lead">${text}</p>
<div class="ask">${pressForm(session, request.url, button, form)}<a class="cancel" href="${back}">Leave it</a></div>`
    return reply.type('text/html; charset=utf-8').send(operatorPage({ appName, title, session, body }))
  }

  app.post('/operator/sign-in', async (request, reply) => {
    checkOrigin(request, o.origin)
    if (!o.mayTry(request)) throw new AppError('too_many_requests')
    const next = NEXT.test(field(request, 'next')) ? field(request, 'next') : '/operator'
    if (!sessions.isToken(field(request, 'token'))) {
      request.outcome = { reason: 'wrong_operator_token' }
      return reply
        .code(401)
        .type('text/html; charset=utf-8')
        .send(signInPage(appName, { next, wrong: true }))
    }
    await sessions.begin(reply)
    request.outcome = { operator: 'signed_in' }
    return reply.redirect(next, 303)
  })

  press('/operator/sign-out', async (_request, session, reply) => {
    await sessions.end(session, reply)
    return reply.redirect('/operator', 303)
  })

  app.get('/operator/stream', async (request, reply) => {
    const session = await sessions.read(request)
    if (!session) throw new AppError('unauthenticated')
    return sendStream(live, session, 'about', request, reply)
  })

  const streamOf = (about: string, parts: Rendered) =>
    `/operator/stream?${new URLSearchParams({ about, have: marksOf(parts).join('.') }).toString()}`

  page('/operator', async (_request, session) => {
    const parts = overviewParts(await overviewNow())
    const part = (name: string) => html`<div id="part-${name}">${raw(parts, name)}</div>`
    return operatorPage({
      ...{ appName, title: 'Overview', page: '/operator', session, stream: streamOf('', parts) },
      body: html`<div id="part-matter" role="status">${raw(parts, 'matter')}</div>
${part('replays')}${part('tiles')}${part('chart')}
<div class="split">${part('latest')}${part('beside')}</div>
<p class="without-script"><a href="/operator">Refresh</a></p>`,
    })
  })

  page('/operator/deliveries', async (request, session) => {
    const asked = singleParameters(request) ?? new URLSearchParams()
    const now = runtime.now()
    const found = await search(asked.get('q')?.trim() ?? '')
    const filter = found.filter ?? readFilter(asked, now)
    const before = asked.get('before') ?? ''
    const page = found.missing
      ? { rows: [], before: undefined }
      : await inbox.list(filter, LISTED, ROW_ID.test(before) ? Number(before) : undefined)
    const body = listBody({
      ...{ filter, asked, page, providers: o.providers },
      missing: found.missing,
    })
    if (found.id !== undefined) return storyPage(String(found.id), session)
    return operatorPage({ appName, title: 'Deliveries', page: '/operator/deliveries', session, body })
  })

  /** What was typed may be the number of a delivery, a sender's id of one, an event or an organization's event. */
  async function search(q: string): Promise<{ id?: number; filter?: Filter; missing?: string }> {
    if (q === '') return {}
    if (ROW_ID.test(q) && (await o.deliveries.find(q, 'operator'))) return { id: Number(q) }
    const id = await o.deliveries.locate(q.slice(0, 200), o.providers, 'keys')
    if (id !== undefined) return { id: Number(id) }
    const event = { event_id: q.slice(0, 200) }
    return (await inbox.has(event)) ? { filter: event } : { missing: q.slice(0, 200) }
  }

  async function storyPage(id: string, session: OperatorSession, isWhole = false): Promise<string> {
    const view = await storyOf(id)
    if (!view) throw new AppError('not_found')
    const body = view.story.stored ? await inbox.payload(Number(id)) : undefined
    const path = `/operator/deliveries/${id}`
    const reveal =
      body !== undefined && !isWhole && pressForm(session, `${path}/reveal`, 'Show personal data', SMALL)
    return operatorPage({
      ...{ appName, title: `Delivery ${id}`, session, stream: streamOf(id, storyParts(view)) },
      body: storyBody(view, {
        ...{ payload: body === undefined ? undefined : shownPayload(body, isWhole), reveal },
        actions: actionsFor(view.story, session, path),
      }),
    })
  }

  const SMALL = { look: 'small' }

  function actionsFor(d: DeliveryStory, session: OperatorSession, path: string): Html {
    const force = (to: 'dead' | 'due', label: string) =>
      !o.production &&
      pressForm(session, `${path}/${to}`, label, { look: to === 'dead' ? 'second danger' : 'second' })
    if (d.replayable) return pressForm(session, `${path}/replay`, 'Replay…')
    if (d.state === 'done' && d.stored)
      return pressForm(session, `${path}/replay`, 'Run again…', { fields: { again: '1' }, look: 'second' })
    if (d.state === 'pending')
      return html`${d.next_at !== null && force('due', 'Make it due now…')}${force('dead', 'Give it up…')}`
    return html`${d.state === 'parked' && force('dead', 'Give it up…')}`
  }

  page('/operator/deliveries/:id', async (request, session) =>
    storyPage((request.params as { id: string }).id, session),
  )

  press('/operator/deliveries/:id/reveal', async (request, session, reply) => {
    const { id } = request.params as { id: string }
    request.outcome = { delivery: id, shown: 'personal data' }
    return reply.type('text/html; charset=utf-8').send(await storyPage(id, session, true))
  })

  press('/operator/deliveries/:id/replay', async (request, session, reply) => {
    const { id } = request.params as { id: string }
    const again = field(request, 'again') === '1'
    const path = `/operator/deliveries/${id}`
    if (!confirmed(request)) return ask(request, session, reply, again ? askAgain(id) : askReplay(id))
    if (again) {
      const anew = field(request, 'steps') === 'anew'
      if (!ROW_ID.test(id) || !(await inbox.again(Number(id), anew))) throw new AppError('not_replayable')
      request.outcome = { delivery: id, again: true, steps: anew ? 'anew' : 'kept' }
    } else {
      const replayed = await o.deliveries.replay(id, 'operator', runtime.now())
      if (replayed !== 'replayed') throw new AppError(REFUSED[replayed])
      request.outcome = { delivery: id }
    }
    return reply.redirect(path, 303)
  })

  if (!o.production)
    for (const to of ['dead', 'due'] as const)
      press(`/operator/deliveries/:id/${to}`, async (request, session, reply) => {
        const { id } = request.params as { id: string }
        if (!confirmed(request)) return ask(request, session, reply, askForce(id, to))
        if (!ROW_ID.test(id) || !(await inbox.force(Number(id), to))) throw new AppError('not_replayable')
        request.outcome = { delivery: id, made: to }
        return reply.redirect(`/operator/deliveries/${id}`, 303)
      })

  page('/operator/replays', async (_request, session) => {
    const list = await replaysNow(session)
    return operatorPage({
      ...{ appName, title: 'Replays', page: '/operator/replays', session },
      stream: streamOf('replays', { list }),
      body: replaysBody(await replays.list(REPLAYS_LISTED), stopForm(session)),
    })
  })

  /** The count first: what a replay by this filter would do. */
  page('/operator/replay', async (request, session) => {
    const filter = readFilter(singleParameters(request) ?? new URLSearchParams(), runtime.now())
    const { total } = await inbox.countReplayable(filter)
    const words = wordsOf({ filter: JSON.stringify(filter) })
    const fields = Object.fromEntries(new URLSearchParams(filterQuery(filter, { confirmed: 'yes' })))
    return operatorPage({
      ...{ appName, title: 'Replay', session },
      body: html`<h1>Replay ${many(total, 'delivery', 'deliveries')}?</h1>
<p class="lead">All <bdi>${words}</bdi> whose payload is still stored. Each runs once more as if it were new, at most ${PER_STEP} a second; finished steps of <code>once</code> are kept.</p>
${total === 0 && html`<p>Only what was given up, and what had no handler, is replayed by filter: choose one of these states.</p>`}
<div class="ask">${total > 0 && pressForm(session, '/operator/replays', `Replay ${total}`, { fields })}<a class="cancel" href="/operator/deliveries?${filterQuery(filter)}">Look at them first</a></div>`,
    })
  })

  press('/operator/replays', async (request, _session, reply) => {
    if (!confirmed(request)) throw new AppError('invalid_request')
    const given = new URLSearchParams(
      ['state', 'provider', 'type', 'event_id', 'since', 'until'].map(name => [name, field(request, name)]),
    )
    const replay = await replays.begin(readFilter(given, runtime.now()))
    request.outcome = { replay: replay.id, total: replay.total }
    return reply.redirect('/operator/replays', 303)
  })

  press('/operator/replays/:id/stop', async (request, session, reply) => {
    const { id } = request.params as { id: string }
    if (!confirmed(request)) return ask(request, session, reply, askStop(id))
    if (!ROW_ID.test(id) || !(await replays.stop(Number(id)))) throw new AppError('not_found')
    request.outcome = { replay: id, stopped: true }
    return reply.redirect('/operator/replays', 303)
  })
}

const stopForm = (session: OperatorSession) => (replay: Replay) =>
  pressForm(
    session,
    `/operator/replays/${replay.id}/stop`,
    html`Stop<span class="unseen"> replay ${replay.id}</span>…`,
    {
      look: 'second danger',
    },
  )

const raw = (parts: Rendered, name: string) => new Html(parts[name] ?? '')
