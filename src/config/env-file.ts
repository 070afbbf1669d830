import { readFileSync } from 'node:fs'
import { parse } from 'dotenv'
import type { Env, Problems } from './checks.ts'

const UNREADABLE: Record<string, string> = {
  EISDIR: 'is a folder: remove it, or give a file',
  EACCES: 'is not readable for this user: chown it, or chmod 644',
}

/** Reads a .env file with dotenv; a missing one has no variables. A line that dotenv misreads is a problem. */
export function readEnvFile(path: string, problems: Problems): Env {
  try {
    const text = readFileSync(path, 'utf8')
    for (const [line, problem] of lineProblems(text)) problems.set(`${path} line ${line}`, problem)
    return parse(text)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return {}
    if (!UNREADABLE[code]) throw error
    problems.set(path, UNREADABLE[code])
    return {}
  }
}

/** An entry is nothing or a comment; a value in quotes, maybe over several lines; any other value; or no assignment. */
const ENTRY =
  /[ \t]*(?:(?:#.*)?|(?:export\s+)?(?<name>[\w.-]+)[ \t]*[=:](?:[ \t]*(?<quote>["'`])(?<quoted>(?:\\\k<quote>|(?!\k<quote>)[\s\S])*)\k<quote>[ \t]*(?:#.*)?|(?<plain>.*))|(?<wrong>.+))(?:\n|$)/gy

/** The problems by line number. They show no value. */
function lineProblems(source: string): Map<number, string> {
  const text = source.replace(/^\ufeff/, '').replaceAll(/\r\n?/g, '\n')
  const problems = new Map<number, string>()
  const seen = new Map<string, { line: number; value: string }>()
  let line = 1
  for (const [whole, ...rest] of text.matchAll(ENTRY)) {
    const [name, , quoted, plain, wrong] = rest
    const value = quoted ?? plain?.replace(/\s#.*/, '').trim() ?? ''
    const before = name && seen.get(name)
    if (wrong !== undefined) problems.set(line, 'is no NAME=value, nor a # comment')
    else if (plain !== undefined && /^["'`]/.test(value))
      problems.set(line, `${name} has no closing quote, or something behind it`)
    else if (plain !== undefined && value.includes('#'))
      problems.set(line, `${name} would be cut at its #: put quotes around the value`)
    else if (before && before.value !== value)
      problems.set(line, `${name} has another value in line ${before.line}: keep one of them`)
    if (name) seen.set(name, { line, value })
    line += whole.split('\n').length - 1
  }
  return problems
}
