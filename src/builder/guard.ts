import {
  AliasNode,
  FromNode,
  type KyselyPlugin,
  ListNode,
  type OperationNode,
  RawNode,
  type RootOperationNode,
  TableNode,
} from 'kysely'
import { HandlerMistake } from '../process/mistake.ts'
import { isOwn, OUR_NAMES } from '../storage/tables.ts'

const VIEWS: readonly string[] = ['revento_participants', 'revento_connections']
const QUERIES: readonly string[] = [
  'SelectQueryNode',
  'InsertQueryNode',
  'UpdateQueryNode',
  'DeleteQueryNode',
  'MergeQueryNode',
  'RawNode',
]
/** The member of a node that names the tables which it reads (READ) or writes (WRITTEN). */
const READ: Readonly<Record<string, string>> = {
  FromNode: 'froms',
  JoinNode: 'table',
  UsingNode: 'tables',
  RawNode: 'parameters',
}
const WRITTEN: Readonly<Record<string, string>> = {
  InsertQueryNode: 'into',
  UpdateQueryNode: 'table',
  MergeQueryNode: 'into',
}
const OURS_IN_TEXT = new RegExp(
  String.raw`\b(?:from|join|into|update|table|only)\s+"?(?:\w+"?\."?)?(${OUR_NAMES.join('|')})\b(?!_)`,
  'i',
)
const DEFINES = /^\s*(?:create|alter|drop|truncate|attach|pragma|vacuum)\b/i

/**
 * Keeps the builder's queries to the builder's tables, and to reading our views. It is a guard against slips, on both
 * databases alike, and none against ill will: what runs in this process could open the database by itself.
 */
export function createGuard(signal?: AbortSignal): KyselyPlugin {
  return {
    transformQuery({ node }) {
      signal?.throwIfAborted()
      check(node)
      return node
    },
    transformResult: async ({ result }) => result,
  }
}

function check(root: RootOperationNode): void {
  if (!QUERIES.includes(root.kind) || (RawNode.is(root) && DEFINES.test(root.sqlFragments[0] ?? '')))
    throw new HandlerMistake('tables are made and changed by the migrations in src/integration/migrations')
  const named = new Set<string>()
  walk(root, node => {
    if (node.kind === 'CommonTableExpressionNameNode') named.add(nameOf((node as Named).table) ?? '')
  })
  walk(root, node => {
    const read = READ[node.kind]
    const written = WRITTEN[node.kind] ?? (node.kind === 'DeleteQueryNode' ? 'from' : undefined)
    const member = (name: string): unknown => Reflect.get(node, name)
    if (read !== undefined) for (const name of namesIn(member(read))) refuseStrange(name, named)
    if (written !== undefined) for (const name of namesIn(member(written))) refuseUnowned(name, named)
    if (RawNode.is(node)) refuseText(node.sqlFragments.join(' ? '))
  })
}

interface Named extends OperationNode {
  readonly table: OperationNode
}

function walk(node: unknown, see: (node: OperationNode) => void): void {
  if (Array.isArray(node)) for (const one of node) walk(one, see)
  else if (typeof node === 'object' && node !== null && 'kind' in node) {
    see(node as OperationNode)
    for (const member of Object.values(node)) walk(member, see)
  }
}

const nameOf = (node: OperationNode): string | undefined =>
  TableNode.is(node) ? node.table.identifier.name : undefined

function namesIn(place: unknown): string[] {
  if (Array.isArray(place)) return place.flatMap(namesIn)
  if (typeof place !== 'object' || place === null || !('kind' in place)) return []
  const node = place as OperationNode
  if (AliasNode.is(node)) return namesIn(node.node)
  if (ListNode.is(node)) return node.items.flatMap(namesIn)
  if (FromNode.is(node)) return namesIn(node.froms)
  return [nameOf(node) ?? []].flat()
}

function refuseStrange(name: string, named: ReadonlySet<string>): void {
  if (!isOwn(name) && !VIEWS.includes(name) && !named.has(name)) throw strange(name)
}

function refuseUnowned(name: string, named: ReadonlySet<string>): void {
  if (VIEWS.includes(name)) throw new HandlerMistake(`${name} is to be read: Revento's webhooks write it`)
  refuseStrange(name, named)
}

function refuseText(text: string): void {
  const [, name] = OURS_IN_TEXT.exec(text) ?? []
  if (name !== undefined) throw strange(name.toLowerCase())
}

/** The message shows only names of our tables: any other name may come from input. */
const strange = (name: string) =>
  new HandlerMistake(
    `${OUR_NAMES.some(table => table === name) ? `"${name}"` : 'a table that does not begin with app_'} is not ` +
      `yours: use your own tables, or read ${VIEWS.join(' or ')}`,
  )
