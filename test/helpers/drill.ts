import { join } from 'node:path'
import { node } from './child.ts'
import { testFolder } from './folder.ts'
import type { ProjectCopy } from './project.ts'

export interface Told {
  code: number | NodeJS.Signals | null
  passed: number
  failed: number
  not_run: number
  days: {
    name: string
    status: string
    look: string
    reason?: string
    warnings?: string[]
    console?: string
    folder?: string
  }[]
}

/** Runs `npm run drill` in this copy of the project, for these days only. */
export async function drill(
  project: Pick<ProjectCopy, 'folder' | 'env'>,
  days: string[],
  env = {},
): Promise<Told> {
  const args = days.flatMap(name => ['--only', name])
  const child = node([join(project.folder, 'src/cli/develop/drill.ts'), '--json', ...args], {
    cwd: testFolder(),
    env: { TMPDIR: testFolder(), ...project.env, ...env },
  })
  const code = await child.ended
  return { code, ...JSON.parse(child.output.out || `{"printed":${JSON.stringify(child.output.err)}}`) }
}
