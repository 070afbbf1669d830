/** The form of a variable of the builder's own: how its text is read, and what to type where it is missing or wrong. */
export interface Form<T> {
  /** What to type, without any value: `a URL, e.g. https://mail.example.com`. */
  readonly says: string
  /** Undefined where the text has another form. */
  readonly read: (text: string) => T | undefined
  /** Taken where the variable is not set. */
  readonly otherwise?: T
  /** Taken instead where the variable is not set and NODE_ENV is not production; in production it must be set. */
  readonly development?: T
  /** The variable may be left out: its value is undefined then. */
  readonly optional?: true
  /** The value is kept out of every line of the log. */
  readonly secret?: true
}

export type Forms = Readonly<Record<string, Form<unknown>>>

/** The types of the settings that these forms read. */
export type SettingsOf<F> = { readonly [Name in keyof F]: F[Name] extends Form<infer T> ? T : never }

/** The values for a variable that is not set, as in `Form`. */
export interface Absent<T> {
  readonly otherwise?: T
  readonly development?: T
}

/** One line of visible text, which must match `pattern` as a whole. */
export function text(
  says: string,
  { pattern, ...absent }: Absent<string> & { pattern?: RegExp } = {},
): Form<string> {
  const whole = new RegExp(`^(?:${pattern?.source ?? '.{1,2000}'})$`, 'u')
  return { ...absent, says, read: value => (whole.test(value) ? value : undefined) }
}

/** http or https, without a password in it. */
export const url = (says: string, absent: Absent<string> = {}): Form<string> => ({
  ...absent,
  says: `${says} (begins with http:// or https://)`,
  read(value) {
    const parsed = /^https?:\/\//.test(value) && URL.canParse(value) ? new URL(value) : undefined
    return parsed && !parsed.username && !parsed.password ? value : undefined
  },
})

/** Decimal digits; `says` is the unit: `minutes` becomes "minutes, 1 to 60". */
export const wholeNumber = (
  says: string,
  { least, most, ...absent }: Absent<number> & { least: number; most: number },
): Form<number> => ({
  ...absent,
  says: `${says}, ${least} to ${most}`,
  read(value) {
    const number = /^(0|-?[1-9]\d{0,14})$/.test(value) ? Number(value) : Number.NaN
    return number >= least && number <= most ? number : undefined
  },
})

export const oneOf = <const T extends string>(values: readonly T[], absent: Absent<T> = {}): Form<T> => ({
  ...absent,
  says: `one of ${values.join(', ')}`,
  read: value => values.find(known => known === value),
})

/** 8 to 512 visible characters. */
export const secret = (says: string, absent: Pick<Absent<string>, 'development'> = {}): Form<string> => ({
  ...absent,
  says: `${says}: 8 to 512 visible characters, no spaces`,
  read: value => (/^[!-~]{8,512}$/.test(value) ? value : undefined),
  secret: true,
})

export const optional = <T>(form: Form<T>): Form<T | undefined> => ({ ...form, optional: true })
