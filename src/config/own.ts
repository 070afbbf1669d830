import type { Form, Forms } from '../builder/define.ts'
import { type Env, type Problems, slipIn } from './checks.ts'
import { VARIABLE_NAMES } from './variables.ts'

const NAME = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/

/** The builder's own variables, as their forms read them. Each problem says what to type, and never a value. */
export function readOwn(
  env: Env,
  forms: Forms,
  production: boolean,
  problems: Problems,
): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [name, form] of Object.entries(forms)) {
    const problem = wrongName(name) ?? valueProblem(name, form, env[name], production)
    if (problem !== undefined) problems.set(name, problem)
    else values[name] = readValue(form, env[name], production)
  }
  return Object.freeze(values)
}

function wrongName(name: string): string | undefined {
  const taken = VARIABLE_NAMES.includes(name) ? "is this app's own variable" : undefined
  const reserved = name.startsWith('REVENTO_') ? 'begins like the variables of this app' : undefined
  const unusual = NAME.test(name)
    ? undefined
    : 'is no name such as MAIL_URL: capitals, digits, and one _ between words'
  const problem = taken ?? reserved ?? unusual
  return problem && `${problem}: give it another name in src/integration/settings.ts`
}

function valueProblem(name: string, form: Form<unknown>, text: string | undefined, production: boolean) {
  const says = `give ${form.says}`
  if (text === undefined) return isMissing(form, production) ? `is missing: ${says}` : undefined
  const slip = slipIn(form.secret ? `${name}_SECRET` : name, text)
  if (slip) return `${slip}: ${says}`
  const value = form.read(text)
  if (value === undefined) return `is not right: ${says}`
  return production && form.secret && value === form.development
    ? `is known to everybody: ${says}`
    : undefined
}

const isMissing = ({ optional, otherwise, development }: Form<unknown>, production: boolean) =>
  !optional && otherwise === undefined && (production || development === undefined)

const readValue = (form: Form<unknown>, text: string | undefined, production: boolean) =>
  text === undefined ? (form.otherwise ?? (production ? undefined : form.development)) : form.read(text)

/** The builder's secrets, which no line of the log may show. */
export const secretsOf = (forms: Forms, values: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(forms).flatMap(([name, form]) => {
    const value = values[name]
    return form.secret && typeof value === 'string' ? [value] : []
  })

/** The part of `npm start -- --help` with the builder's variables and what to type; empty where there are none. */
export function ownHelp(forms: Forms): string {
  const width = Math.max(0, ...Object.keys(forms).map(name => name.length))
  const lines = Object.entries(forms).map(([name, { says }]) => `  ${name.padEnd(width)}  ${says}\n`)
  return lines.length === 0 ? '' : `\nYours, of src/integration/settings.ts:\n${lines.join('')}`
}
