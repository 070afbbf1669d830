// Keeps the page up to date while it is looked at, and shows times in the reader's own way. Without it the page is
// complete, and stands still.

const main = document.querySelector('main')
const live = document.querySelector('#live')
const toDay = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const toMinute = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const toSecond = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

const toAgo = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

const UNITS = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]
const DAYS_7 = 7 * 86_400

/** @param {ParentNode} part */
function localTimes(part) {
  for (const time of part.querySelectorAll('time:not([data-utc])'))
    time.textContent = shown(time, new Date(time.dateTime))
}

function shown({ dataset }, at) {
  if ('seconds' in dataset) return toSecond.format(at)
  if ('day' in dataset) return toDay.format(at)
  const seconds = Math.round((Date.now() - at) / 1000)
  if (!('ago' in dataset) || Math.abs(seconds) > DAYS_7) return toMinute.format(at)
  const [size, unit] = UNITS.find(([least]) => Math.abs(seconds) >= least) ?? [1, 'second']
  return toAgo.format(-Math.round(seconds / size), unit)
}

/** Puts new HTML in place of the old; focus, what was unfolded, and how far a table was scrolled stay. */
function swap(name, html) {
  const part = document.getElementById(`part-${name}`)
  if (!part) return
  const focused = part.contains(document.activeElement) ? document.activeElement.id : undefined
  const scrolled = [...part.querySelectorAll('.scroll')].map(table => table.scrollLeft)
  const unfolded = [...part.querySelectorAll('details')].map(({ open }) => open)
  part.innerHTML = html
  localTimes(part)
  for (const [n, details] of part.querySelectorAll('details').entries())
    details.open = unfolded[n] ?? details.open
  for (const [n, table] of part.querySelectorAll('.scroll').entries()) table.scrollLeft = scrolled[n] ?? 0
  if (focused === undefined) return
  const same = focused === '' ? null : document.getElementById(focused)
  const heading = part.querySelector('h2')
  if (heading) heading.tabIndex = -1
  ;(same ?? heading)?.focus({ preventScroll: true })
}

const AGAIN_MS = 10_000
let source
/** What the page shows; moves on with each update, so that a new stream does not send it again. */
let have

function listen() {
  const url = new URL(main.dataset.stream, location.href)
  have ??= url.searchParams.get('have')
  url.searchParams.set('have', have)
  source = new EventSource(url)
  source.addEventListener('open', () => say('Live'))
  source.addEventListener('parts', event => {
    have = event.lastEventId
    for (const [name, html] of Object.entries(JSON.parse(event.data))) swap(name, html)
  })
  // Logged out, or connected again in another tab: the page as it is now.
  source.addEventListener('end', () => location.reload())
  source.addEventListener('error', () => {
    say('Not live: trying again')
    const refused = source
    if (refused.readyState === EventSource.CLOSED) setTimeout(() => refused === source && again(), AGAIN_MS)
  })
}

/** The browser comes back by itself unless it was refused: then this finds out why. */
async function again() {
  const answer = await fetch(main.dataset.asks ?? '/deliveries').catch(() => undefined)
  if (answer?.status === 401) location.reload()
  else listen()
}

function say(text) {
  live.textContent = text
}

localTimes(document)
setInterval(localTimes, 10_000, document)
if (main.dataset.stream !== undefined) {
  // A tab that nobody looks at needs no connection.
  document.addEventListener('visibilitychange', () => {
    source?.close()
    source = undefined
    if (!document.hidden) listen()
  })
  if (!document.hidden) listen()
}
