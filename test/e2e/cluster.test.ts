// The result of the first issue, on real containers and packets: one command brings up a cluster; a Deployment answers behind a Service.
// Needs root on Linux with crun and conmon; says so and skips elsewhere.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually, k8ts, kubectls, leftovers, root, run, startRealCluster } from './run-program.ts'
import type { Finished, RunningCluster } from './run-program.ts'

const etcdctl = join(root, 'test/interop/.bin/etcdctl')
const isRoot = process.getuid?.() === 0
const skip = isRoot && process.platform === 'linux' ? false : 'needs root on Linux: real containers, namespaces and packet rules'

describe('one command, a real cluster', { skip }, () => {
  let cluster: RunningCluster
  let dataDir: string
  before(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'k8ts-e2e-'))
    cluster = await startRealCluster({ dataDir })
  }, { timeout: 180_000 })
  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
    rmSync(dataDir, { recursive: true, force: true })
  })

  for (const client of kubectls) {
    describe(`with ${client.name}`, () => {
      const kubectl = (...args: string[]): Promise<Finished> => run(client.program, [...client.args, ...args], { env: { KUBECONFIG: cluster.kubeconfig } })
      const succeed = async (...args: string[]): Promise<string> => {
        const done = await kubectl(...args)
        assert.equal(done.code, 0, `kubectl ${args.join(' ')}\n${done.stdout}${done.stderr}`)
        return done.stdout
      }
      const clusterIp = async (): Promise<string> => succeed('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}')
      const fetchText = async (url: string): Promise<string | undefined> => {
        const { code, stdout } = await run('curl', ['-s', '-m', '3', url])
        return code === 0 ? stdout : undefined
      }

      test('apply: three pods run and are ready', async () => {
        await succeed('apply', '-f', 'examples/web/')
        await succeed('rollout', 'status', 'deployment/web', '--timeout=60s')
        const pods = await succeed('get', 'pods', '-l', 'app=web', '-o', 'wide')
        assert.equal(pods.match(/1\/1 +Running/g)?.length, 3, pods)
        assert.match(await succeed('apply', '-f', 'examples/web/'), /deployment\.apps\/web unchanged/)
      })

      test('the cluster IP answers from the host and is spread over the three pods; so does the node port', async () => {
        const ip = await clusterIp()
        const seen = new Set<string>()
        await eventually('all three pods answer', async () => {
          const text = await fetchText(`http://${ip}/`)
          const pod = /web-\w+-\w+/.exec(text ?? '')?.[0]
          if (pod) seen.add(pod)
          return seen.size === 3 ? true : undefined
        }, 20_000)
        assert.match(await fetchText('http://172.29.1.2:30080/') ?? '', /hello/)
      })

      test('from another pod, with exec; its output comes back, and its exit code', async () => {
        const [pod] = (await succeed('get', 'pods', '-l', 'app=web', '-o', 'name')).trim().split('\n')
        assert.match(await succeed('exec', pod ?? '', '--', 'wget', '-q', '-O', '-', `http://${await clusterIp()}/`), /hello/)
        assert.match(await succeed('exec', pod ?? '', '--', 'cat', '/etc/web/page.txt'), /Served by k8ts/)
        assert.equal((await kubectl('exec', pod ?? '', '--', 'sh', '-c', 'exit 7')).code, 7)
        assert.match(await succeed('exec', pod ?? '', '--', 'sh', '-c', 'echo $TOKEN'), /not-a-real-secret/)
      })

      test('logs', async () => {
        assert.match(await succeed('logs', '-l', 'app=web', '--tail=-1'), /listens on port/)
      })

      test('scale, and a deleted pod comes back', async () => {
        await succeed('scale', 'deployment/web', '--replicas=4')
        await succeed('rollout', 'status', 'deployment/web', '--timeout=60s')
        const [pod = ''] = (await succeed('get', 'pods', '-l', 'app=web', '-o', 'name')).trim().split('\n')
        await succeed('delete', pod)
        await eventually('four pods again', async () => ((await succeed('get', 'pods', '-l', 'app=web')).match(/1\/1 +Running/g)?.length === 4 ? true : undefined))
      })

      test('set image rolls out, undo rolls back', async () => {
        await succeed('set', 'image', 'deployment/web', 'web=k8ts.local/web:2')
        await succeed('rollout', 'status', 'deployment/web', '--timeout=60s')
        await eventually('the new image answers', async () => (/web:2/.test(await fetchText(`http://${await clusterIp()}/`) ?? '') ? true : undefined))
        await succeed('rollout', 'undo', 'deployment/web')
        await succeed('rollout', 'status', 'deployment/web', '--timeout=60s')
        await eventually('the old image answers', async () => (/web:1/.test(await fetchText(`http://${await clusterIp()}/`) ?? '') ? true : undefined))
      })

      test('describe shows the events', async () => {
        const [pod = ''] = (await succeed('get', 'pods', '-l', 'app=web', '-o', 'name')).trim().split('\n')
        const text = await succeed('describe', pod)
        assert.match(text, /Normal\s+Scheduled\s+.*Successfully assigned default\/web-/)
        assert.match(text, /Normal\s+Started/)
        assert.match(await succeed('describe', 'node', 'node-1'), /Allocated resources/)
      })

      test('delete takes it away', async () => {
        await succeed('delete', '-f', 'examples/web/')
        await eventually('no pods', async () => (/No resources found/.test((await kubectl('get', 'pods', '-l', 'app=web')).stderr) ? true : undefined))
      })
    })
  }

  test('row E6: what kubectl lists is in etcd, which only a certificate of its own authority may read', { skip: existsSync(etcdctl) ? false : 'the original etcdctl is not built' }, async () => {
    const env = { KUBECONFIG: cluster.kubeconfig }
    await run(k8ts, ['kubectl', 'create', 'configmap', 'seen', '--from-literal=a=b'], { env })
    const pki = join(dataDir, 'pki', 'etcd')
    const trust = ['--endpoints=https://127.0.0.1:2389', `--cacert=${join(pki, 'ca.crt')}`]
    const { stdout } = await run(etcdctl, [...trust, `--cert=${join(pki, 'healthcheck-client.crt')}`, `--key=${join(pki, 'healthcheck-client.key')}`, 'get', '/registry/configmaps/', '--prefix', '--keys-only'])
    const listed = (await run(k8ts, ['kubectl', 'get', 'configmaps', '-A', '-o', 'jsonpath={range .items[*]}/registry/configmaps/{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'], { env })).stdout
    assert.ok(listed.includes('/registry/configmaps/default/seen'))
    assert.deepEqual(stdout.split('\n').filter((line) => line !== '').sort(), listed.trim().split('\n').sort())
    assert.notEqual((await run(etcdctl, [...trust, '--command-timeout=1s', 'get', '/registry', '--prefix'])).code, 0)
  })

  test('Ctrl-C leaves nothing behind', async () => {
    assert.equal(await cluster.interrupt(), 0, cluster.output())
    assert.deepEqual(await leftovers(), [])
  })

  test('kill -9 of the whole cluster: the next start cleans up and has every object; down leaves nothing', async () => {
    const second = await startRealCluster({ dataDir })
    const env = { KUBECONFIG: second.kubeconfig }
    await run(k8ts, ['kubectl', 'create', 'configmap', 'kept', '--from-literal=a=b'], { env })
    second.process.kill('SIGKILL')
    cluster = await startRealCluster({ dataDir })
    const { stdout } = await run(k8ts, ['kubectl', 'get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}'], { env })
    assert.equal(stdout, 'b')
    const down = await run(k8ts, ['down', '--name=e2e', `--data-dir=${dataDir}`])
    assert.equal(down.code, 0, down.stderr)
    assert.deepEqual(await leftovers(), [])
  })
})
