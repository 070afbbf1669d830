import type { Handlers } from '../../builder/context.ts'
import { eventTypes } from '../../integration/event-types.ts'
import { lineOf } from '../../process/mistake.ts'
import { nearestName } from '../../process/nearest-name.ts'
import { providers, SYNC, SYNC_TYPES } from '../providers/index.ts'

/** A sentence for the start's log about each handler of a type that never comes, which would wait for ever unnoticed. */
export function handlerSlips(handlers: Handlers): string[] {
  return Object.entries({ ...handlers }).flatMap(([provider, list]) => {
    const types = typesOf(provider)
    if (!types) {
      const names = [...providers.map(({ name }) => name), 'handshake', SYNC]
      return [
        `${at(provider)}: the handlers have a sender "${provider}", and there is none${meant(provider, names)}`,
      ]
    }
    return Object.keys(list ?? {}).flatMap(type => slipOf(provider, type, types))
  })
}

interface Types {
  readonly known: readonly string[]
  /** The sender lets its users name types: only a name near a known one is a slip. */
  readonly isOpen: boolean
}

function typesOf(name: string): Types | undefined {
  if (name === 'handshake') return { known: ['message'], isOpen: false }
  if (name === SYNC) return { known: SYNC_TYPES, isOpen: false }
  const provider = providers.find(one => one.name === name)
  if (!provider) return undefined
  const listed = name === 'revento' ? Object.keys(eventTypes) : []
  return { known: [...provider.types, ...listed], isOpen: provider.openTypes ?? false }
}

function slipOf(provider: string, type: string, { known, isOpen }: Types): string[] {
  const near = meant(type, known)
  if (known.includes(type) || (isOpen && near === '')) return []
  const then = `${near === '' ? '; if' : ' If'} it does come, list it in src/integration/event-types.ts`
  return [
    `${at(type)}: the handlers of ${provider} have "${type}", which it is not known to send${near}${provider === 'revento' ? then : ''}`,
  ]
}

/** The place at which the list has this name as a member. */
function at(name: string): string {
  const quoted = lineOf(LIST, `'${name}':`)
  return quoted === LIST ? lineOf(LIST, `${name}:`) : quoted
}
const LIST = 'src/integration/handlers/index.ts'

function meant(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return nearest === undefined ? '' : `: did you mean "${nearest}"?`
}
