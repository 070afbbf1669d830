import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

/** CHROME_PATH, else an installed Chrome or Chromium, else the one that came with `npm ci` (Linux x64). */
async function browserPath(): Promise<string | undefined> {
  const { CHROME_PATH } = process.env
  if (CHROME_PATH) return CHROME_PATH
  const installed = INSTALLED.find(path => existsSync(path))
  if (installed || process.platform !== 'linux' || process.arch !== 'x64') return installed
  const { default: packaged } = await import('@sparticuz/chromium')
  return packaged.executablePath()
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

export async function startBrowser(): Promise<TestBrowser> {
  const executablePath = await browserPath()
  if (!executablePath) throw new Error('no Chrome or Chromium found: set CHROME_PATH')
  const home = mkdtempSync(join(tmpdir(), 'browser-'))
  const browser = await chromium.launch({
    executablePath,
    env: { ...process.env, HOME: home },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
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

/** Undefined with a message where no browser can run, unless BROWSER_REQUIRED says that this is a failure. */
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
