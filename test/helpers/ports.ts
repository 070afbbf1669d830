export { freePort } from '../../src/cli/network.ts'
