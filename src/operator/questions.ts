import { type Html, html } from '../http/html.ts'

/** A question before something is done. Its form repeats the request with these fields and with `confirmed`. */
export interface Question {
  readonly title: string
  readonly text: string
  readonly button: string
  /** Where "Leave it" leads. */
  readonly back: string
  readonly look?: 'danger'
  readonly fields?: Record<string, string>
  /** Further content of the form. */
  readonly more?: Html
}

const back = (id: string) => `/operator/deliveries/${encodeURIComponent(id)}`

export const askReplay = (id: string): Question => ({
  title: `Run delivery ${id} again?`,
  text: 'Its handler runs as if it were new. Finished steps of once are kept.',
  ...{ button: 'Run it again', back: back(id) },
})

/** For a delivery that was handled. */
export const askAgain = (id: string): Question => ({
  ...askReplay(id),
  text: 'It was handled. Its handler runs once more, with the same payload.',
  fields: { again: '1' },
  more: html`<fieldset><legend>Steps of <code>once</code> that it finished</legend>
<label><input type="radio" name="steps" value="kept" checked> are kept: no mail goes out a second time</label><br>
<label><input type="radio" name="steps" value="anew"> run again too, under new idempotency keys</label></fieldset>`,
})

export const askForce = (id: string, to: 'dead' | 'due'): Question =>
  to === 'due'
    ? {
        title: `Run delivery ${id} now?`,
        text: 'It does not wait for its next try any longer. If it fails again, the try counts.',
        ...{ button: 'Make it due now', back: back(id) },
      }
    : {
        title: `Give delivery ${id} up?`,
        text: 'It does not run again by itself. You can replay it later.',
        ...{ button: 'Give it up', back: back(id), look: 'danger' },
      }

export const askStop = (id: string): Question => ({
  title: `Stop replay ${id}?`,
  text: 'What it has made due still runs; the rest stays given up. A new replay by the same filter goes on with it.',
  ...{ button: 'Stop it', back: '/operator/replays', look: 'danger' },
})
