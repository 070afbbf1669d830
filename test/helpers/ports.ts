export { freePort } from '../../src/cli/develop/network.ts'
