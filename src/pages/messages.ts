import type { ErrorBody } from '../http/errors.ts'
import { type Html, html } from '../http/html.ts'
import { LOGIN } from '../oauth/connect.route.ts'
import { eventForm, layout } from './layout.ts'
import { capital, HEADINGS, loginNext, NEXT, words } from './words.ts'

/** The page after a form, from which the browser goes on to Revento by itself. */
export const onwardPage = (appName: string) => (url: string) =>
  layout({
    appName,
    title: 'To Revento',
    body: html`
<h1>Revento asks you next</h1>
<p><a class="button" href="${url}">Continue to Revento</a></p>`,
  }).text

/** `about` names the event that the person was about to connect or to sign in for, where that is known. */
export const errorPage =
  (appName: string) =>
  (o: ErrorBody, status: number, about: Readonly<Record<string, unknown>> = {}) => {
    const { error, message, request_id } = o
    const { event_id, flow } = about
    const eventId = typeof event_id === 'string' ? event_id : undefined
    const isLogin = flow === LOGIN.flow
    const next = isLogin ? loginNext(error) : NEXT[error]
    const again = next?.again !== undefined && { words: next.again }
    return layout({
      appName,
      title: HEADINGS[error] ?? capital(words(error)),
      body: html`
<h1>${HEADINGS[error] ?? capital(words(error))}</h1>
<p>${message}</p>
${next && html`<p>${next.text}</p>`}
${next?.asks && eventForm('Event id', eventId)}
${again && html`<p>${againLink(isLogin ? '/login' : '/connect', again.words, eventId)}</p>`}
${!isLogin && html`<p><a href="/">Back to the start page</a></p>`}
<p class="quiet">${status} ${error} · request ${request_id}</p>`,
    }).text
  }

const againLink = (path: string, words: string, eventId: string | undefined): Html =>
  html`<a class="button" href="${path}${eventId !== undefined && `?${new URLSearchParams({ event_id: eventId }).toString()}`}">${words}${eventId !== undefined && `: ${eventId}`}</a>`
