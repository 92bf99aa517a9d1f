// Streams and images of the real container runtime, in its own process: exec with and without a terminal, attach, port-forward, the streaming
// server; importing archives and pulling from a registry. The tests themselves are in container-runtime-inside.ts, which runs in the namespaces.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { RuntimeWorld, root, whySkip } from './container-runtime-world.ts'

test('container runtime: streams and images', { skip: whySkip() }, async () => {
  await using world = new RuntimeWorld()
  await world.ready()
  const [command, args] = world.command(process.execPath, ['--disable-proto=delete', '--disable-warning=ExperimentalWarning', '--test-force-exit', '--test-reporter=spec', join(root, 'test/e2e/container-runtime-inside.ts'), world.dir, world.cgroup])
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env, timeout: 60_000 })
  assert.equal(status, 0, `${stdout}\n${stderr}`)
  assert.deepEqual(await world.eventually('all is gone', () => world.leftovers().length === 0 && world.leftovers()).catch(() => world.leftovers()), [])
})
