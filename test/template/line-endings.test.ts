import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const MADE_HERE = /^(node_modules|data|coverage|\.git|\.vitest)(\/|$)|(^|\/)\.env$|\.log$/

const files = (folder = ''): string[] =>
  readdirSync(new URL(folder, ROOT), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}${entry.name}`
    if (MADE_HERE.test(path)) return []
    return entry.isDirectory() ? files(`${path}/`) : [path]
  })

/** `git clone -c core.autocrlf=true` would write CRLF, which the formatter and the shell of .ci/run refuse. */
test('no file has a carriage return, whatever core.autocrlf was when it was cloned', () => {
  const all = files()
  expect(all).toEqual(expect.arrayContaining(['.gitattributes', '.ci/run', 'src/main.ts', 'README.md']))
  const broken = all.filter(path => {
    const bytes = readFileSync(new URL(path, ROOT))
    const isText = !bytes.includes(0)
    return isText && bytes.includes('\r')
  })
  expect(broken).toEqual([])
})
