/**
 * npm runs this after an install. Its scripts then run the Node of a package, which for macOS is not always the newest.
 * Where the machine has a newer release of the same major, the link to the packaged one is removed, and PATH leads to
 * the machine's. Not on Windows, where cmd.exe would still be reading the file that is removed. JavaScript, because a
 * Node that cannot strip types may run this.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { delimiter } from 'node:path'

const packaged = process.versions.node
const isLink = folder => /[\\/]node_modules[\\/]\.bin$/.test(folder)

/** The version of the Node that PATH leads to without npm's own folders. */
function onThisMachine() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(folder => !isLink(folder))
  const env = { ...process.env, PATH: folders.join(delimiter) }
  try {
    return execFileSync('node', ['-p', 'process.versions.node'], { env, encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}

const found = onThisMachine()
const isSameMajor = found.split('.')[0] === packaged.split('.')[0]
if (process.platform !== 'win32' && isSameMajor && found.localeCompare(packaged, 'en', { numeric: true }) > 0)
  rmSync('node_modules/.bin/node', { force: true })
