import type { Form, Forms } from '../../src/builder/define.ts'
import { settings } from '../../src/integration/settings.ts'

const WORDS = ['a-value-for-tests', 'A value for tests', 'https://tests.example.org', '1']

/** Finds a value that this form accepts: one of a few common ones, or a word of its own message. */
function textFor(name: string, { says, read }: Form<unknown>): string {
  const given = process.env[name]
  const [, example = ''] = /e\.g\. ([^()]+)/.exec(says) ?? []
  const texts = [...(given === undefined ? [] : [given]), ...WORDS, example.trim(), ...says.split(/[\s,()]+/)]
  const text = texts.find(text => text !== '' && read(text) !== undefined)
  if (text === undefined)
    throw new Error(`The tests know no value of ${name} in src/integration/settings.ts: ${name}=… npm test`)
  return text
}

/** Returns a value for each variable that these forms require, in production too. */
export const valuesOf = (forms: Forms): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(forms)
      .filter(([, { optional, otherwise }]) => !optional && otherwise === undefined)
      .map(([name, form]) => [name, textFor(name, form)]),
  )

/** The builder's required variables, without which no app with src/integration starts. */
export const ownValues = valuesOf(settings)
