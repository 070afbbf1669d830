export type Yaml = string | Yaml[] | { [key: string]: Yaml } | null

interface Line {
  readonly indent: number
  readonly text: string
}

/** Parses mappings, lists and plain words by indentation, which is all that this project's files have. Throws for more. */
export function parseYaml(source: string): Yaml {
  const lines = source.split('\n').flatMap((line): Line[] => {
    if (/^\s*(#.*)?$/.test(line)) return []
    if (/\t|["'|>&*{[]/.test(line.replaceAll(/\$\{[^}]*\}/g, '')))
      throw new Error(`more YAML than is read here: ${line}`)
    return [{ indent: line.search(/\S/), text: line.trim() }]
  })
  const value = block(lines, lines[0]?.indent ?? 0)
  if (lines.length > 0) throw new Error(`wrong indentation: ${lines[0]?.text}`)
  return value
}

/** Parses the lines at the front that stand at this indentation, and removes them from the list. */
function block(lines: Line[], indent: number): Yaml {
  const [first] = lines
  if (!first || first.indent < indent) return null
  if (first.indent > indent) throw new Error(`wrong indentation: ${first.text}`)
  return first.text.startsWith('- ') ? list(lines, indent) : mapping(lines, indent)
}

function list(lines: Line[], indent: number): Yaml[] {
  const items: Yaml[] = []
  while (lines[0]?.indent === indent && lines[0].text.startsWith('- ')) {
    const text = lines[0].text.slice(2)
    lines[0] = { indent: indent + 2, text }
    if (/^[\w-]+:( |$)/.test(text)) items.push(mapping(lines, indent + 2))
    else items.push(String(lines.shift()?.text))
  }
  return items
}

function mapping(lines: Line[], indent: number): { [key: string]: Yaml } {
  const members: { [key: string]: Yaml } = {}
  while (lines[0]?.indent === indent) {
    const line = lines.shift()?.text ?? ''
    const [, key, value] = /^([\w-]+):(?: (.+))?$/.exec(line) ?? []
    if (key === undefined || Object.hasOwn(members, key)) throw new Error(`no new member: ${line}`)
    members[key] = value ?? (lines[0] && lines[0].indent > indent ? block(lines, lines[0].indent) : null)
  }
  return members
}
