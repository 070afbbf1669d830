// part: sandbox
import { systemRuntime } from '../../src/process/runtime.ts'

// Loaded before the program: what an instance does every twenty seconds, it does twice a second.
const { sleep } = systemRuntime
systemRuntime.sleep = (ms, signal) => sleep(ms === 20_000 ? 500 : ms, signal)
