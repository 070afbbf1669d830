export { freePort } from '../../src/cli/develop/free-port.ts'
