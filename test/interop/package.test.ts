// The package as others install it: packed, unpacked elsewhere, its types checked and a cluster started from it.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, run } from '../e2e/run-program.ts'

const program = `import { startCluster, deployments, pods } from 'k8ts/testing'
await using cluster = await startCluster({ seed: 1 })
await cluster.admin.resource(deployments).create('default', {
  metadata: { name: 'web', namespace: 'default' },
  spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web' }] } } },
}, cluster.signal)
const running = async (): Promise<number> => (await cluster.admin.resource(pods).list('default', {}, cluster.signal)).items.filter((pod) => pod.status?.phase === 'Running').length
await cluster.until(async () => (await running()) === 2, 'two pods run')
console.log('running: ' + await running())
`

test('an installed package: its types are right, and a cluster starts inside a test', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-package-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const packed = await run('npm', ['pack', '--silent', `--pack-destination=${folder}`], { timeoutMs: 120_000 })
  assert.equal(packed.code, 0, packed.stderr)
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'k8ts'), { recursive: true })
  assert.equal((await run('tar', ['-xzf', join(folder, packed.stdout.trim().split('\n').at(-1) ?? ''), '-C', join(modules, 'k8ts'), '--strip-components=1'])).code, 0)
  // What npm would install beside it.
  for (const name of readdirSync(join(root, 'node_modules'))) if (!name.startsWith('.') && name !== 'k8ts') symlinkSync(join(root, 'node_modules', name), join(modules, name))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'operator.test.ts'), program)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { module: 'nodenext', target: 'esnext', lib: ['esnext'], types: ['node'], strict: true, noEmit: true, skipLibCheck: true }, files: ['operator.test.ts'] }))
  const checked = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder])
  assert.deepEqual([checked.code, checked.stdout], [0, ''])
  // Types that are wrong are seen, so they are not all `any`.
  writeFileSync(join(folder, 'operator.test.ts'), program.replace('replicas: 2', "replicas: 'two'"))
  assert.match((await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder])).stdout, /TS2322.*string/)
  writeFileSync(join(folder, 'operator.test.ts'), program)
  const ran = await run(process.execPath, ['--disable-proto=delete', join(folder, 'operator.test.ts')])
  assert.deepEqual([ran.code, ran.stdout], [0, 'running: 2\n'], ran.stderr)
})
