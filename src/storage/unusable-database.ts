/** What is there is not this program's database, or not all of it. The message says what to type, for the operator. */
export class UnusableDatabaseError extends Error {
  constructor(message: string) {
    super(`${message}\nNothing has been written.`)
    this.name = 'UnusableDatabaseError'
  }
}
