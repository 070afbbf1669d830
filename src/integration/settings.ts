import type { Forms, SettingsOf } from '../builder/define.ts'

/**
 * Your own variables, in `.env` or the environment. Each has a form of `src/builder/define.ts`: `text`, `url`, `wholeNumber`,
 * `oneOf`, `secret`, and `optional` around one of them. What is missing or wrong stops the start, with all the other problems.
 * For instance `MAIL_URL: url('where the mail service listens, e.g. https://mail.example.com')`
 */
export const settings = {} satisfies Forms

/** As handlers, routes, jobs and services get them. */
export type Settings = SettingsOf<typeof settings>
