import { handlers } from '../../src/integration/handlers/index.ts'
import { exampleHandlers } from './example-handlers.ts'

// The program loads this module first, and then runs with these handlers, or with those of the module that HANDLERS names.
const { HANDLERS } = process.env
Object.assign(handlers, HANDLERS === undefined ? exampleHandlers : (await import(HANDLERS)).handlers)
