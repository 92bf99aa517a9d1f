// Runs test suites with Node 24's own runner: `node tools/run-tests.mjs unit integration [--only=text]`.
//
// unit         src/**/*.test.ts              one process, no isolation: hundreds of files in a second or two
// integration  test/integration/**/*.test.ts components in one process, simulated world
// e2e                                        test/<suite>/**/*.test.ts, one process a file, one after the other
// interop, simulation, robustness            the same, two at once
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { node24 } from './node24.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const only = process.argv.find((a) => a.startsWith('--only='))?.slice(7)
const suites = process.argv.slice(2).filter((a) => !a.startsWith('--'))
const isolated = new Set(['e2e', 'interop', 'simulation', 'robustness'])
const filesOf = (suite) => {
  const folder = join(root, suite === 'unit' ? 'src' : `test/${suite}`)
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && e.name.endsWith('.test.ts')).map((e) => relative(root, join(e.parentPath, e.name)))
    .filter((f) => !only || f.includes(only)).sort()
}
let failed = false
for (const suite of suites) {
  const files = filesOf(suite)
  if (files.length === 0) { console.log(`${suite}: no test files${only ? ` match "${only}"` : ''}`); continue }
  console.log(`\n# ${suite}: ${files.length} files`)
  // Test files of these suites keep their ports, folders, names and networks apart: a file on each core. Only whole clusters with real containers
  // stand one after the other.
  const isolation = isolated.has(suite) ? [`--test-concurrency=${suite === 'e2e' ? 1 : 2}`, ...(suite === 'simulation' ? ['--max-semi-space-size=32'] : [])] : ['--test-isolation=none']
  const { status } = spawnSync(node24(), ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', '--test', '--test-force-exit', ...isolation,
    `--test-reporter=${process.stdout.isTTY ? 'spec' : join(root, 'tools/quiet-reporter.mjs')}`, '--test-reporter-destination=stdout', ...files], { cwd: root, stdio: 'inherit' })
  if (status !== 0) failed = true
}
process.exit(failed ? 1 : 0)
