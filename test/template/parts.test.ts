import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { isWithin, type Parts, TEMPLATE, unmarked } from '../../src/cli/template/parts.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(ROOT + path, 'utf8')
const parts: Parts = JSON.parse(read('src/cli/template/parts.json'))
const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter(path => path !== '' && existsSync(ROOT + path))

describe.each(Object.keys(parts))('the part "%s"', name => {
  const { paths = [] } = parts[name] ?? {}

  test('is there', () => {
    for (const path of paths) expect([path, existsSync(ROOT + path)]).toEqual([path, true])
  })

  test('leaves no import of what is gone in src, and every mark is closed', () => {
    const code = files.filter(path => /\.(ts|js)$/.test(path) && !isWithin(path, paths))
    const left = new Map(code.map(path => [path, unmarked(path, read(path), [name])] as const))
    const isGone = (path: string) => isWithin(path, paths) || left.get(path) === null
    const dangling = [...left].flatMap(([path, text]) =>
      [...(path.startsWith('src/') ? (text ?? '') : '').matchAll(/(?:from |import\()'(\.[^']+)'/g)]
        .map(([, to = '']) => posix.join(dirname(path), to))
        .filter(isGone)
        .map(to => `${path} imports ${to}`),
    )
    expect(dangling).toEqual([])
  })

  if (name !== TEMPLATE)
    test('leaves as many lines of src as the README says, within a tenth', () => {
      const [, said = ''] = new RegExp(`\\b${name}\`[^\`]*?([\\d,]{6,})`).exec(read('README.md')) ?? []
      const left = files
        .filter(path => path.startsWith('src/') && !isWithin(path, paths))
        .reduce((sum, path) => sum + read(path).split('\n').length - 1, 0)
      const ratio = left / Number(said.replaceAll(',', ''))
      expect([said, ratio > 0.9 && ratio < 1.1]).toEqual([said, true])
    })
})

test('every mark names a part', () => {
  const names = files
    .filter(path => /^(src|test|\.ci)\//.test(path) && path !== 'test/cli/template-updates.test.ts')
    .flatMap(path => [...read(path).matchAll(/(?:\/\/|#) part: ([a-z, -]+?)(?: [{}])?$/gm)])
    .flatMap(([, list = '']) => list.split(', '))
  expect(Object.keys(parts)).toEqual(expect.arrayContaining([...new Set(names)]))
  expect(new Set(names).size).toBeGreaterThan(2)
})
