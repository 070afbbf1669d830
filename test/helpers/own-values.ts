import type { Form, Forms } from '../../src/builder/define.ts'
import { settings } from '../../src/integration/settings.ts'

const WORDS = ['a-value-for-tests', 'A value for tests', 'https://tests.example.org', '1']

/** The first text that this form takes: one of ours, or a word of what it tells to type. */
function textFor(name: string, { says, read }: Form<unknown>): string {
  const given = process.env[name]
  const [, example = ''] = /e\.g\. ([^()]+)/.exec(says) ?? []
  const texts = [...(given === undefined ? [] : [given]), ...WORDS, example.trim(), ...says.split(/[\s,()]+/)]
  const text = texts.find(text => text !== '' && read(text) !== undefined)
  if (text === undefined)
    throw new Error(`The tests know no value of ${name} in src/integration/settings.ts: ${name}=… npm test`)
  return text
}

/** The variables of these forms that have to be set, in production too. */
export const valuesOf = (forms: Forms): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(forms)
      .filter(([, { optional, otherwise }]) => !optional && otherwise === undefined)
      .map(([name, form]) => [name, textFor(name, form)]),
  )

/** Those of the builder, so that what a test starts with src/integration starts. */
export const ownValues = valuesOf(settings)
