import { BuilderMistake, lineOf } from '../process/mistake.ts'
import type { Provider } from '../webhooks/verify/provider.ts'

const FILE = 'src/integration/senders/index.ts'

/** Checks the builder's senders beside the template's. Throws a BuilderMistake for what is wrong in them. */
export function checkSenders(own: Readonly<Record<string, Provider>>, shipped: readonly Provider[]): void {
  const taken = new Set(['handshake', 'sync', ...shipped.map(({ name }) => name)])
  const variables = new Set(shipped.map(({ secret }) => secret.variable))
  const wrong = Object.entries(own).flatMap(([key, { name, secret }]) => {
    const place = lineOf(FILE, key)
    const problems = [
      name !== key && `"${key}" has the name "${name}": give both the same`,
      !/^[a-z][a-z0-9-]{0,40}$/.test(key) && `"${key}" is no name: give small letters, digits and hyphens`,
      taken.has(key) && `there is a sender "${key}" already: give yours another name`,
      !/^[A-Z][A-Z0-9_]*_WEBHOOK_SECRET$/.test(secret.variable) &&
        `the variable ${secret.variable} of "${key}" does not end as ${key.toUpperCase()}_WEBHOOK_SECRET does`,
      variables.has(secret.variable) &&
        `${secret.variable} is another sender's: give "${key}" one of its own`,
    ]
    variables.add(secret.variable)
    return problems.flatMap(problem => (problem === false ? [] : [`${place}: ${problem}.`]))
  })
  if (wrong.length > 0) throw new BuilderMistake(wrong.join('\n'))
}
