import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BrowserContext, chromium } from 'playwright-core'

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/', import.meta.url))
const UNPACK = `
  import { inflate } from '@sparticuz/chromium'
  const archives = ['chromium.br', 'fonts.tar.br', 'swiftshader.tar.br', 'al2023.tar.br']
  await Promise.all(archives.map(name => inflate('node_modules/@sparticuz/chromium/bin/' + name)))`

/** This configuration replaces the packaged one, which looks for fonts in /tmp, where nothing is unpacked here. */
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>`

interface Program {
  readonly executablePath: string
  readonly env: Record<string, string>
}

/**
 * The browser that `npm ci` brings (Linux x64), with the system libraries and fonts that it needs, so that a bare machine
 * runs it. It is unpacked beside its place and then moved there, so that several processes at once do not mix files.
 */
function packaged(): Program {
  const manifest = JSON.parse(readFileSync(join(CACHE, '../@sparticuz/chromium/package.json'), 'utf8'))
  const folder = join(CACHE, `chromium-${manifest.version}`)
  if (!existsSync(folder)) {
    mkdirSync(CACHE, { recursive: true })
    const unpacked = mkdtempSync(`${folder}-`)
    const env = { ...process.env, TMPDIR: unpacked }
    execFileSync(process.execPath, ['--input-type=module', '-e', UNPACK], { cwd: join(CACHE, '../..'), env })
    writeFileSync(join(unpacked, 'fonts/fonts.conf'), FONTS)
    try {
      renameSync(unpacked, folder)
    } catch (error) {
      rmSync(unpacked, { recursive: true })
      if (!existsSync(folder)) throw error
    }
  }
  const env = { LD_LIBRARY_PATH: join(folder, 'al2023/lib'), FONTCONFIG_PATH: join(folder, 'fonts') }
  return { executablePath: join(folder, 'chromium'), env }
}

/** Finds the program: CHROME_PATH, else an installed Chrome or Chromium, else the packaged one. */
function browserProgram(): Program | undefined {
  const { CHROME_PATH } = process.env
  const executablePath = CHROME_PATH || INSTALLED.find(path => existsSync(path))
  if (executablePath) return { executablePath, env: {} }
  return process.platform === 'linux' && process.arch === 'x64' ? packaged() : undefined
}

/** A browser with an empty profile of its own; `newContext` isolates cookies like another person's browser. */
export interface TestBrowser {
  newContext(options?: {
    javaScriptEnabled?: boolean
    width?: number
    dark?: boolean
  }): Promise<BrowserContext>
  close(): Promise<void>
}

async function startBrowser(): Promise<TestBrowser> {
  const program = browserProgram()
  if (!program) throw new Error('no Chrome or Chromium found: set CHROME_PATH')
  const home = mkdtempSync(join(tmpdir(), 'browser-'))
  const browser = await chromium.launch({
    executablePath: program.executablePath,
    env: { ...process.env, ...program.env, HOME: home },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // The pages of all hosts share one renderer. Otherwise an app and its sandbox would each start one of their own.
      '--disable-site-isolation-trials',
      '--renderer-process-limit=1',
      // No page lives long enough to win back what it costs to optimise its code.
      '--js-flags=--no-opt --no-maglev',
    ],
  })
  return {
    newContext: ({ javaScriptEnabled = true, width = 1280, dark = false } = {}) =>
      browser.newContext({
        javaScriptEnabled,
        viewport: { width, height: 900 },
        colorScheme: dark ? 'dark' : 'light',
      }),
    close: async () => {
      await browser.close()
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** Starts the browser. Where none can run it prints why and returns undefined; with BROWSER_REQUIRED it throws. */
export async function browserOrSkip(): Promise<TestBrowser | undefined> {
  try {
    return await startBrowser()
  } catch (error) {
    if (process.env['BROWSER_REQUIRED']) throw error
    process.stderr.write(
      `browser tests skipped: ${error instanceof Error ? error.message.split('\n')[0] : error}\n`,
    )
    return undefined
  }
}
