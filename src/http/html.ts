/** Text that is already HTML. Only the `html` tag makes it, so that a plain string is always escaped. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | null | undefined | false | Html | readonly Html[]

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeText = (text: string) => text.replace(/[&<>"']/g, c => ENTITIES[c] ?? c)

function show(value: Value): string {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(show).join('')
  return value === null || value === undefined || value === false ? '' : escapeText(String(value))
}

/** A tagged template that escapes every value; attribute values must be quoted. */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(show)))
}

/** The headers of every page, stated here because helmet's defaults allow inline styles and send HSTS over http. */
export function pageHeaders(https: boolean): Record<string, string> {
  return {
    'content-security-policy':
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
      "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=()',
    'cache-control': 'no-store',
    ...(https ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  }
}
