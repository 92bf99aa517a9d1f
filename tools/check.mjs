// `npm run check`: types, layers, lint, generated files. Prints each step with its time; stops at nothing, fails if any failed.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { node24 } from './node24.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name) => join(root, 'node_modules', '.bin', name)
const node = node24()
const steps = [
  ['layers', [node, 'tools/check-layers.ts']],
  ['types', [bin('tsc'), '-p', 'tsconfig.json']],
  ['types, pure modules', [bin('tsc'), '-p', 'tsconfig.pure.json']],
  ['lint', [bin('oxlint'), '--quiet', 'src', 'test', 'tools']],
  ['style', [node, 'tools/check-style.ts']],
]
if (existsSync(join(root, '../shared/reference/wire'))) steps.push(['generated files', [node, 'tools/check-generated.ts']])
let failed = false
for (const [name, [command, ...args]] of steps) {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  const ok = status === 0
  failed ||= !ok
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${Math.round(performance.now() - started)} ms)`)
  if (!ok) console.log(`${stdout}${stderr}`)
}
process.exit(failed ? 1 : 0)
