// A pod's containers on a real node: their order, their restarts, their limits and their end.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pods } from '../../../src/lib/client/resource-keys.ts'
import { eventually } from '../run-program.ts'
import { container, hierarchies, idle, isOver, namespace, restarts, shell, signal } from './world.ts'
import type { NodeWorld } from './world.ts'

const shared = [{ name: 'work', emptyDir: {} }]
const volumeMounts = [{ name: 'work', mountPath: '/work' }]

export function containerTests(world: () => NodeWorld): void {
  describe('containers', { concurrency: 6 }, () => {
    test('init containers run one after the other, a sidecar goes on beside the others and ends after them', async () => {
      await world().createPod('order', {
        restartPolicy: 'Never', volumes: shared,
        initContainers: [
          shell('first', 'sleep 0.3; echo first >> /work/order', { volumeMounts }),
          shell('sidecar', `echo sidecar >> /work/order; ${idle}`, { volumeMounts, restartPolicy: 'Always', startupProbe: { exec: { command: ['test', '-s', '/work/order'] }, periodSeconds: 1 } }),
          shell('second', 'echo second >> /work/order', { volumeMounts }),
        ],
        containers: [shell('main', 'echo main >> /work/order; until [ -e /work/stop ]; do sleep 0.1; done; sleep 0.5; exit 0', { volumeMounts })],
      })
      const pod = await world().ready('order')
      assert.equal(await world().inPod('order', 'cat /work/order', 'main'), 'first\nsidecar\nsecond\nmain\n')
      assert.equal(container(pod, 'first')?.state?.terminated?.reason, 'Completed')
      assert.ok(container(pod, 'sidecar')?.state?.running)
      assert.equal(container(pod, 'sidecar')?.started, true)
      assert.equal(container(pod, 'sidecar')?.ready, true)
      await world().inPod('order', 'touch /work/stop', 'main')
      const over = await world().podWhen('order', 'over', isOver)
      assert.equal(over.status?.phase, 'Succeeded')
      assert.ok(container(over, 'sidecar')?.state?.terminated, 'the sidecar was stopped')
    })

    test('a failed init container fails a pod that never restarts; the others do not start', async () => {
      await world().createPod('bad-init', { restartPolicy: 'Never', initContainers: [shell('init', 'exit 4')] })
      const pod = await world().podWhen('bad-init', 'over', isOver)
      assert.equal(pod.status?.phase, 'Failed')
      assert.equal(container(pod, 'init')?.state?.terminated?.exitCode, 4)
      assert.equal(container(pod)?.state?.waiting?.reason, 'PodInitializing')
    })

    test('restartPolicy Never: the exit code is told, nothing is restarted', async () => {
      await world().createPod('never', { restartPolicy: 'Never', containers: [shell('main', 'echo why > /dev/termination-log; exit 3'), shell('logs', 'echo last words; exit 5', { terminationMessagePolicy: 'FallbackToLogsOnError' })] })
      const pod = await world().podWhen('never', 'over', isOver)
      assert.equal(pod.status?.phase, 'Failed')
      const main = container(pod)?.state?.terminated
      assert.deepEqual([main?.exitCode, main?.reason, main?.message, restarts(pod)], [3, 'Error', 'why\n', 0])
      assert.deepEqual([container(pod, 'logs')?.state?.terminated?.exitCode, container(pod, 'logs')?.state?.terminated?.message], [5, 'last words\n'])
    })

    test('restartPolicy OnFailure: failures are tried again, success ends the pod', async () => {
      await world().createPod('on-failure', { restartPolicy: 'OnFailure', volumes: shared, containers: [shell('main', 'if [ -e /work/again ]; then exit 0; fi; touch /work/again; exit 1', { volumeMounts })] })
      const pod = await world().podWhen('on-failure', 'over', isOver)
      assert.equal(pod.status?.phase, 'Succeeded')
      assert.equal(restarts(pod), 1)
      assert.equal(container(pod)?.lastState?.terminated?.exitCode, 1)
    })

    test('restartPolicy Always: CrashLoopBackOff between restarts, with the count', async () => {
      await world().createPod('crash', { containers: [shell('main', 'echo attempt; exit 1')] })
      const pod = await world().podWhen('crash', 'in CrashLoopBackOff', (p) => container(p)?.state?.waiting?.reason === 'CrashLoopBackOff')
      assert.ok(restarts(pod) >= 1)
      assert.match(container(pod)?.state?.waiting?.message ?? '', /back-off 10s restarting failed container=main pod=crash_default\(/)
      assert.equal(container(pod)?.lastState?.terminated?.exitCode, 1)
      await world().eventWhen('crash', 'BackOff', /Back-off restarting failed container main/)
      const again = await world().podWhen('crash', 'tried again after the back-off', (p) => restarts(p) > restarts(pod), 20_000)
      assert.match(await world().logs('crash', '--previous'), /attempt/)
      assert.equal(again.status?.phase, 'Running')
    })

    test('a container whose process was killed is started again', async () => {
      await world().createPod('killed', {})
      const before = await world().ready('killed')
      const [pid] = world().containerPids(before).filter((p) => readFileSync(`/proc/${p}/cmdline`, 'utf8').includes('trap'))
      assert.ok(pid)
      process.kill(Number(pid), 'SIGKILL')
      const after = await world().podWhen('killed', 'restarted and ready', (p) => restarts(p) === 1 && container(p)?.ready === true)
      assert.equal(container(after)?.lastState?.terminated?.exitCode, 137)
    })

    test('hooks: postStart runs, preStop runs before SIGTERM, SIGTERM is seen, the exit code told', async () => {
      const folder = join(world().dataDir, 'hooks')
      mkdirSync(folder)
      await world().createPod('hooks', {
        terminationGracePeriodSeconds: 10, volumes: [{ name: 'work', hostPath: { path: folder, type: 'Directory' } }],
        containers: [shell('main', 'trap "echo term >> /work/log; exit 9" TERM; sleep 1000 & wait $!', {
          volumeMounts, lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo postStart >> /work/log'] } }, preStop: { exec: { command: ['sh', '-c', 'echo preStop >> /work/log; sleep 0.3; echo preStop over >> /work/log'] } } },
        })],
      }, { finalizers: ['k8ts.test/keep'] })
      await world().ready('hooks')
      assert.equal(readFileSync(join(folder, 'log'), 'utf8'), 'postStart\n')
      const started = performance.now()
      await world().deletePod('hooks')
      const over = await world().podWhen('hooks', 'stopped', (p) => container(p)?.state?.terminated !== undefined)
      assert.ok(performance.now() - started < 5000, 'long before the grace period ended')
      assert.equal(readFileSync(join(folder, 'log'), 'utf8'), 'postStart\npreStop\npreStop over\nterm\n')
      assert.equal(container(over)?.state?.terminated?.exitCode, 9)
      await world().client.resource(pods).patch(namespace, 'hooks', 'application/merge-patch+json', { metadata: { finalizers: null } }, signal)
      await world().gone('hooks')
    })

    test('who ignores SIGTERM is killed when the grace period is over', async () => {
      await world().createPod('stubborn', { terminationGracePeriodSeconds: 1, containers: [shell('main', 'trap "" TERM; while :; do sleep 1; done')] }, { finalizers: ['k8ts.test/keep'] })
      await world().ready('stubborn')
      const started = performance.now()
      await world().deletePod('stubborn')
      const over = await world().podWhen('stubborn', 'stopped', (p) => container(p)?.state?.terminated !== undefined)
      const tookMs = performance.now() - started
      assert.ok(tookMs > 900 && tookMs < 6000, `${tookMs} ms`)
      assert.equal(container(over)?.state?.terminated?.exitCode, 137)
      await world().client.resource(pods).patch(namespace, 'stubborn', 'application/merge-patch+json', { metadata: { finalizers: null } }, signal)
      await world().gone('stubborn')
    })

    test('a postStart hook that fails ends the container', async () => {
      await world().createPod('bad-hook', { containers: [shell('main', idle, { lifecycle: { postStart: { exec: { command: ['false'] } } } })] })
      await world().eventWhen('bad-hook', 'FailedPostStartHook', /PostStartHook failed/)
      await world().podWhen('bad-hook', 'killed and started again', (p) => restarts(p) >= 1)
    })

    test('more memory than the limit: OOMKilled, 137', async () => {
      await world().createPod('oom', { restartPolicy: 'Never', containers: [{ ...shell('main', ''), command: ['tail', '/dev/zero'], resources: { limits: { memory: '24Mi' } } }] })
      const { status } = await world().podWhen('oom', 'over', isOver)
      const terminated = status?.containerStatuses?.[0]?.state?.terminated
      assert.deepEqual([terminated?.reason, terminated?.exitCode, status?.phase], ['OOMKilled', 137, 'Failed'])
    })

    test('requests and limits stand in the control groups of the pod and of the container', async () => {
      await world().createPod('limits', { containers: [shell('main', idle, { resources: { requests: { cpu: '100m', memory: '16Mi' }, limits: { cpu: '250m', memory: '32Mi' } } })] })
      const pod = await world().ready('limits')
      const id = container(pod)?.containerID?.replace(/^.*:\/\//, '') ?? '?'
      const read = (file: string, own: boolean): string | undefined => {
        for (const hierarchy of hierarchies()) {
          const folder = join(hierarchy, `k8ts/${world().name}/node-1/kubepods/burstable/pod${pod.metadata.uid}`)
          if (!existsSync(folder)) continue
          const of = own ? readdirSync(folder).find((entry) => entry.includes(id)) : ''
          const path = join(folder, of ?? '?', file)
          if (existsSync(path)) return readFileSync(path, 'utf8').trim()
        }
        return undefined
      }
      for (const own of [true, false]) {
        assert.ok(['25000', '25000 100000'].includes(read('cpu.cfs_quota_us', own) ?? read('cpu.max', own) ?? ''), `cpu limit of the ${own ? 'container' : 'pod'}`)
        assert.equal(read('memory.limit_in_bytes', own) ?? read('memory.max', own), String(32 * 2 ** 20), `memory limit of the ${own ? 'container' : 'pod'}`)
        assert.ok(['102', '4', '17'].includes(read('cpu.shares', own) ?? read('cpu.weight', own) ?? ''), 'cpu request')
      }
      assert.equal(pod.status?.qosClass, 'Burstable')
    })

    test('activeDeadlineSeconds ends a pod', async () => {
      await world().createPod('deadline', { activeDeadlineSeconds: 2, restartPolicy: 'Never' })
      const { status } = await world().podWhen('deadline', 'over', isOver)
      assert.deepEqual([status?.phase, status?.reason], ['Failed', 'DeadlineExceeded'])
    })

    test('user, groups, read-only root, capabilities and no new privileges as the security context says', async () => {
      await world().createPod('secured', {
        volumes: shared, securityContext: { runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, runAsNonRoot: true },
        containers: [shell('main', idle, { volumeMounts, securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } })],
      })
      await world().ready('secured')
      assert.match(await world().inPod('secured', 'id'), /^uid=1000\S* gid=3000 groups=2000,3000|^uid=1000\S* gid=3000 groups=3000,2000/)
      assert.match(await world().inPod('secured', 'touch /x 2>&1; touch /work/y && stat -c %g /work/y; grep -E "CapEff|NoNewPrivs" /proc/self/status'), /Read-only file system\n2000\nCapEff:\s+0+\nNoNewPrivs:\s+1/)
      await world().createPod('root-refused', { securityContext: { runAsNonRoot: true } })
      await world().podWhen('root-refused', 'refused', (p) => container(p)?.state?.waiting?.reason === 'CreateContainerConfigError')
    })

    test('containers of a pod share the network, and processes when asked', async () => {
      await world().createPod('together', { shareProcessNamespace: true, containers: [shell('main', idle), shell('server', 'mkdir -p /www; echo from server > /www/index.html; exec httpd -f -p 8080 -h /www')] })
      await world().ready('together')
      assert.equal(await eventually('the neighbour answers', async () => (await world().inPod('together', 'wget -q -O - http://127.0.0.1:8080/ || true', 'main')) || undefined, 5000), 'from server\n')
      assert.match(await world().inPod('together', 'ps', 'main'), /httpd -f/)
    })
  })
}
