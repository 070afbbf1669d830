import { expect, onTestFinished, test, vi } from 'vitest'
import { oneOf, optional, secret, text, url, wholeNumber } from '../../src/builder/define.ts'
import { loadConfig } from '../../src/config/settings.ts'
import { valuesOf } from '../helpers/own-values.ts'

test('a required setting of the builder gets a value that it takes, so that the tests of the template stay green', () => {
  const forms = {
    MAIL_URL: url('where the mail service listens, e.g. https://mail.example.com'),
    MAIL_KEY: secret('the key of the mail service', { development: 'key-for-development' }),
    MAIL_TEAM: text('the name of the team'),
    MAIL_HALL: text('where badges are printed, e.g. Hall 2', { pattern: /Hall \d/ }),
    MAIL_TRIES: wholeNumber('tries', { least: 3, most: 9 }),
    MAIL_MODE: oneOf(['plain', 'fancy']),
    MAIL_COPY: optional(text('who else gets it')),
    MAIL_COLOUR: text('a colour', { otherwise: 'blue' }),
  }
  const values = valuesOf(forms)
  expect(Object.keys(values)).toEqual(Object.keys(forms).slice(0, 6))
  expect(Object.keys(loadConfig(values, forms).own)).toEqual(expect.arrayContaining(Object.keys(values)))
})

test('where no value is known, the tests say how to give one', () => {
  const forms = { MAIL_CODE: text('the code on the letter', { pattern: /[A-Z]{4}-\d{7}/ }) }
  expect(() => valuesOf(forms)).toThrow('MAIL_CODE=… npm test')
  onTestFinished(() => void vi.unstubAllEnvs())
  vi.stubEnv('MAIL_CODE', 'ABCD-1234567')
  expect(valuesOf(forms)).toEqual({ MAIL_CODE: 'ABCD-1234567' })
})
