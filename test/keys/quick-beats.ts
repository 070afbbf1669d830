// part: sandbox
import { systemRuntime } from '../../src/process/runtime.ts'

// The program loads this module first, and then does twice a second what an instance does every twenty seconds.
const { sleep } = systemRuntime
systemRuntime.sleep = (ms, signal) => sleep(ms === 20_000 ? 500 : ms, signal)
