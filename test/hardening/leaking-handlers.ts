// part: senders
import type { Handlers } from '../../src/builder/context.ts'

/** What a hurried cloner may write: each puts what it was given somewhere into an error. */
export const handlers: Handlers = {
  revento: {
    'application.submitted': async ({ event }) => {
      const { name, email } = event.data
      const spelled = `${String(name).toUpperCase()} ${encodeURIComponent(String(email))}`
      const error = new Error(`no seat for ${name} <${email}> ${spelled}`, { cause: event })
      error.name = String(name)
      error.stack = `${error.stack}\n    at ${email} (file:///${name}.ts:1:1)`
      throw error
    },
    'application.rejected': async ({ event }) => void JSON.parse(String(event.data['note'])),
    'application.revision_requested': async ({ event, raw }) => {
      throw Object.assign(
        new AggregateError([event.data['email'], new Error(raw.toString())], 'two things'),
        {
          code: event.data['email'],
          payload: event,
          raw,
        },
      )
    },
    'participant.registered': async () => {},
    'participant.profile_updated': async ({ api }) => {
      const { data } = await api.participants()
      throw new TypeError('after the call', { cause: { data, api } })
    },
    'activity.updated': async ({ event }) => {
      const cause = {
        token: process.env['CANARY_ACCESS'],
        event,
        error: new Error(process.env['CANARY_ACCESS']),
      }
      setTimeout(() => {
        throw new Error('nobody catches this', { cause })
      }, 20)
      // Longer than that, and not for ever: a stop waits seconds for a handler that never ends.
      await new Promise(resolve => setTimeout(resolve, 200))
    },
  },
  // part: senders {
  aghanim: {
    'player.verify': async ({ event }) => {
      throw new Error('not this player', { cause: event })
    },
  },
  barker: {
    message: async ({ raw }) => {
      throw new Error(`cannot bark: ${raw}`)
    },
  },
  // part: senders }
}
