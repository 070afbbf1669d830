import { handlers } from '../../src/integration/handlers/index.ts'
import { exampleHandlers } from './example-handlers.ts'

// Loaded before the program, which then runs with these, or with the `handlers` of the module that HANDLERS names.
const { HANDLERS } = process.env
Object.assign(handlers, HANDLERS === undefined ? exampleHandlers : (await import(HANDLERS)).handlers)
