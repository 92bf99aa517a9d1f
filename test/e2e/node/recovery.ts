// What a node survives, and what it leaves behind: its process killed, pods from manifests, many pods come and gone, a second node.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { leases, nodes, pods } from '../../../src/lib/client/resource-keys.ts'
import { eventually, leftovers, run } from '../run-program.ts'
import { NodeWorld, container, image, idle, isReady, namespace, restarts, shell, signal } from './world.ts'

/** The node's own process. */
function nodePid(name: string): number {
  for (const entry of readdirSync('/proc').filter((e) => /^\d+$/.test(e))) {
    try {
      if (readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').includes(`node --config /run/k8ts/${name}/node-1/`)) return Number(entry)
    } catch {
      continue // it ended
    }
  }
  throw new Error('the node has no process')
}

export function recoveryTests(world: () => NodeWorld): void {
  describe('recovery', () => {
    test('the node\'s process killed: containers go on as they were; what died meanwhile is started again', async () => {
      await Promise.all([
        world().createPod('survivor', { volumes: [{ name: 'w', emptyDir: {} }], containers: [shell('main', `if [ ! -e /w/x ]; then touch /w/x; exit 1; fi; while :; do date +%s; sleep 0.2; done`, { volumeMounts: [{ name: 'w', mountPath: '/w' }], readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 } })] }),
        world().createPod('victim', {}),
        world().createPod('leaving', {}),
      ])
      const survivor = await world().podWhen('survivor', 'restarted once and ready', (p) => restarts(p) === 1 && isReady(p))
      const victim = await world().ready('victim')
      await world().ready('leaving')
      const pids = world().containerPids(survivor)
      assert.ok(pids.length >= 1)
      const before = nodePid(world().name)
      process.kill(before, 'SIGKILL')
      const [victimPid] = world().containerPids(victim).filter((p) => readFileSync(`/proc/${p}/cmdline`, 'utf8').includes('trap'))
      process.kill(Number(victimPid), 'SIGKILL')
      const killedAt = Date.now()
      await world().deletePod('leaving')
      await eventually('a new process', async () => { try { return nodePid(world().name) === before ? undefined : true } catch { return undefined } }, 10_000)
      await eventually('the lease is renewed', async () => {
        const { spec } = await world().client.resource(leases).get('kube-node-lease', 'node-1', signal)
        return Date.parse(spec?.renewTime ?? '') > killedAt ? true : undefined
      }, 20_000)
      const node = await world().client.resource(nodes).get('', 'node-1', signal)
      assert.equal(node.status?.conditions?.find((c) => c.type === 'Ready')?.status, 'True')
      await world().podWhen('victim', 'restarted', (p) => restarts(p) === 1 && isReady(p), 20_000)
      await world().gone('leaving')
      const after = await world().ready('survivor')
      assert.equal(restarts(after), 1)
      assert.equal(container(after)?.containerID, container(survivor)?.containerID)
      const kept = world().containerPids(after)
      assert.ok(pids.some((pid) => kept.includes(pid)), `${pids.join(' ')} became ${kept.join(' ')}`)
      assert.match(await world().inPod('survivor', 'echo still here'), /still here/)
      const seconds = (await world().logs('survivor')).trim().split('\n').map(Number)
      assert.ok(seconds.every((s, i) => i === 0 || s - (seconds[i - 1] ?? s) <= 3), 'the log has no gap')
      assert.ok((seconds.at(-1) ?? 0) * 1000 > killedAt, 'the log goes on')
      await world().createPod('afterwards', {})
      await world().ready('afterwards')
    })

    test('static pods: from the manifest folder, shown by a mirror, changed and removed with the file', async () => {
      const folder = join(world().nodeDir(), 'manifests')
      const file = join(folder, 'static.yaml')
      mkdirSync(folder, { recursive: true })
      const manifest = (greeting: string): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: static\n  labels: { app: static }\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n    - name: main\n      image: ${image}\n      command: [sh, -c, 'echo ${greeting}; ${idle}']\n`
      writeFileSync(file, manifest('first'))
      const mirror = await eventually('the mirror is ready', async () => { try { const p = await world().pod('static-node-1'); return isReady(p) ? p : undefined } catch { return undefined } }, 30_000)
      assert.ok(mirror.metadata.annotations?.['kubernetes.io/config.mirror'])
      assert.equal(mirror.metadata.annotations?.['kubernetes.io/config.source'], 'file')
      assert.equal(mirror.metadata.ownerReferences?.[0]?.kind, 'Node')
      assert.match(await world().logs('static-node-1'), /first/)
      await world().deletePod('static-node-1', { gracePeriodSeconds: 0 })
      const again = await eventually('the mirror is back', async () => { try { const p = await world().pod('static-node-1'); return p.metadata.uid !== mirror.metadata.uid && isReady(p) ? p : undefined } catch { return undefined } }, 30_000)
      assert.equal(container(again)?.containerID, container(mirror)?.containerID, 'the container went on')
      writeFileSync(file, manifest('second'))
      await eventually('the new pod', async () => { const done = await world().kubectl(['logs', 'static-node-1']); return done.stdout.includes('second') ? true : undefined }, 40_000)
      rmSync(file)
      await eventually('mirror and containers are gone', async () => ((await world().client.resource(pods).list(namespace, { labelSelector: 'app=static' }, signal)).items.length === 0 ? true : undefined), 40_000)
    })

    test('twenty pods come and go: nothing of them stays', async () => {
      const { items } = await world().client.resource(pods).list(namespace, {}, signal)
      await Promise.all(items.map((p) => world().deletePod(p.metadata.name, { gracePeriodSeconds: 0 })))
      let left: readonly string[] = []
      try {
        await eventually('an empty node', async () => { left = (await world().podResources()).filter((r) => /veth|kubepods\/.*pod|conmon|\/rootfs$|kubelet\/pods/.test(r)); return left.length === 0 ? true : undefined }, 20_000)
      } catch {
        assert.deepEqual(left, [])
      }
      const before = await world().podResources()
      await world().createConfigMap('cycle', { a: 'b' })
      await world().createSecret('cycle', { a: 'b' })
      const volumes = [{ name: 'memory', emptyDir: { medium: 'Memory' } }, { name: 'secret', secret: { secretName: 'cycle' } }, { name: 'config', configMap: { name: 'cycle' } }]
      const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }))
      for (let round = 0; round < 4; round++) {
        const names = Array.from({ length: 5 }, (_, i) => `cycle-${round}-${i}`)
        await Promise.all(names.map((name) => world().createPod(name, { volumes, automountServiceAccountToken: true, containers: [shell('main', idle, { volumeMounts: [...volumeMounts, { name: 'memory', mountPath: '/part', subPath: 'part' }], resources: { limits: { memory: '32Mi' } } })] })))
        await Promise.all(names.map((name) => world().ready(name, 60_000)))
        await Promise.all(names.map((name) => world().deletePod(name)))
        await Promise.all(names.map((name) => world().gone(name, 30_000)))
      }
      let last: readonly string[] = []
      try {
        await eventually('as before', async () => { last = await world().podResources(); return JSON.stringify(last) === JSON.stringify(before) ? true : undefined }, 15_000)
      } catch {
        assert.deepEqual(last, before)
      }
      const folders = ['kubelet/pods', 'log/pods', 'log/containers', 'containers/containers', 'containers/sandboxes']
      const files = (): readonly string[] => folders.flatMap((f) => { try { return readdirSync(join(world().nodeDir(), f)).map((name) => `${f}/${name}`) } catch { return [] } })
      await eventually('no files', async () => (files().length === 0 ? true : undefined), 10_000).catch(() => assert.deepEqual(files(), []))
    })

    test('two nodes: pods reach each other over nodes, and a Service from both; nothing stays', async () => {
      {
        await using two = await NodeWorld.start({ name: 'nodes2', network: 3, nodes: 2 })
        const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 }
        for (const n of [1, 2]) await two.createPod(`on-${n}`, { nodeName: `node-${n}`, containers: [shell('main', `mkdir -p /www; echo on-${n} > /www/index.html; exec httpd -f -v -p 8080 -h /www`, { readinessProbe })] }, { labels: { app: 'both' } })
        const [one, other] = await Promise.all([two.ready('on-1', 60_000), two.ready('on-2', 60_000)])
        const service = await two.createService('both', { type: 'NodePort', selector: { app: 'both' }, ports: [{ port: 80, targetPort: 8080 }] })
        assert.equal(await two.inPod('on-1', `timeout 3 wget -q -O - http://${other.status?.podIP}:8080/`), 'on-2\n')
        assert.equal(await two.inPod('on-2', `timeout 3 wget -q -O - http://${one.status?.podIP}:8080/`), 'on-1\n')
        assert.match(await two.logs('on-2'), new RegExp(`${one.status?.podIP?.replaceAll('.', '\\.')}.*response:200`), 'the pod\'s own address is seen')
        const everywhere = async (what: string, ask: () => Promise<string>): Promise<void> => {
          const seen = new Set<string>()
          await eventually(`both answer ${what}`, async () => { const answer = (await ask()).trim(); if (answer !== '') seen.add(answer); return seen.size === 2 ? true : undefined }, 15_000)
        }
        for (const n of [1, 2]) {
          await everywhere(`the pod on node ${n}`, () => two.inPod(`on-${n}`, `timeout 3 wget -q -O - http://${service.spec?.clusterIP}/ || true`))
          await everywhere(`the node port of node ${n}`, async () => (await run('curl', ['-s', '-m', '3', `http://${two.nodeIp(n - 1)}:${service.spec?.ports?.[0]?.nodePort}/`])).stdout)
        }
        await everywhere('the host', async () => (await run('curl', ['-s', '-m', '3', `http://${service.spec?.clusterIP}/`])).stdout)
        assert.equal(await two.cluster.interrupt(), 0, two.cluster.output())
        assert.deepEqual(await leftovers('nodes2', 3), [])
      }
    })

    test('Ctrl-C with pods running leaves nothing on the machine', async () => {
      await world().createPod('last', { containers: [shell('main', idle), shell('stubborn', 'trap "" TERM; while :; do sleep 1; done')] })
      await world().ready('last')
      assert.equal(await world().cluster.interrupt(), 0, world().cluster.output())
      assert.deepEqual(await leftovers(world().name, world().network), [])
    })

    test('the cluster started again has its pods again, counted as restarts', async () => {
      await using again = await NodeWorld.start({ name: world().name, network: world().network, dataDir: world().dataDir })
      await again.podWhen('last', 'running again', (p) => isReady(p) && restarts(p) >= 1, 30_000)
      assert.equal(await again.inPod('last', 'echo alive', 'main'), 'alive\n')
    })
  })
}
