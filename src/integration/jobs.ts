import type { Job } from '../builder/job.ts'

/**
 * Work that runs at regular intervals. For instance
 * `{ name: 'count-participants', every: '6h', run: async ({ revento, log }) => { … } }`. `npm run jobs` lists how they went.
 */
export const jobs: readonly Job[] = []
