import type { Form } from '../../src/builder/define.ts'
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

/** The builder's variables that have to be set, so that what is started with them starts, in production too. */
export const ownValues: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries<Form<unknown>>(settings)
    .filter(([, { optional, otherwise }]) => !optional && otherwise === undefined)
    .map(([name, form]) => [name, textFor(name, form)]),
)
