// Real containers: the container runtime's own program, driven over CRI's socket as a kubelet or crictl does it. Needs root; cleans up after itself.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RuntimeWorld, signal, whySkip } from './container-runtime-world.ts'
import { CriError } from '../../src/lib/cri-api/cri-services.ts'
import type { CriClient } from '../../src/lib/cri-api/cri-client.ts'
import type { ContainerConfig, ContainerStatus, NamespaceMode, PodSandboxConfig } from '../../src/lib/cri-api/generated/types.ts'

const skip = whySkip()
const image = 'k8ts.local/web:1'
let pods = 0

async function makePod(world: RuntimeWorld, cri: CriClient, changes: Partial<PodSandboxConfig> & { readonly pid?: NamespaceMode } = {}): Promise<{ readonly id: string; readonly ip: string }> {
  const name = `pod-${++pods}`
  const { pid = 'CONTAINER', ...rest } = changes
  const config: PodSandboxConfig = {
    metadata: { name, namespace: 'default', uid: `uid-${pods}` }, hostname: name, logDirectory: join(world.dir, 'logs', name), dnsConfig: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] },
    linux: { cgroupParent: `${world.cgroup}/${name}`, securityContext: { namespaceOptions: { pid } } }, ...rest,
  }
  const { podSandboxId = '' } = await cri.runtime.runPodSandbox({ config }, signal)
  const { status } = await cri.runtime.podSandboxStatus({ podSandboxId }, signal)
  return { id: podSandboxId, ip: status?.network?.ip ?? '' }
}

let containers = 0
async function runContainer(cri: CriClient, podSandboxId: string, command: readonly string[], changes: Partial<ContainerConfig> = {}): Promise<string> {
  const name = `c${++containers}`
  const { linux, ...rest } = changes
  const config: ContainerConfig = {
    metadata: { name }, image: { image }, command, logPath: `${name}.log`,
    linux: { ...linux, securityContext: { namespaceOptions: { pid: 'CONTAINER' }, ...linux?.securityContext } }, ...rest,
  }
  const { containerId = '' } = await cri.runtime.createContainer({ podSandboxId, config }, signal)
  await cri.runtime.startContainer({ containerId }, signal)
  return containerId
}

async function statusOf(cri: CriClient, containerId: string): Promise<ContainerStatus> { return (await cri.runtime.containerStatus({ containerId }, signal)).status ?? {} }
async function exitOf(world: RuntimeWorld, cri: CriClient, containerId: string): Promise<ContainerStatus> {
  return world.eventually('container ends', async () => { const status = await statusOf(cri, containerId); return status.state === 'CONTAINER_EXITED' && status })
}
async function exec(cri: CriClient, containerId: string, ...cmd: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await cri.runtime.execSync({ containerId, cmd, timeout: 10 }, signal)
  assert.equal(exitCode ?? 0, 0, Buffer.from(stderr ?? []).toString())
  return Buffer.from(stdout ?? []).toString()
}
const sh = (script: string): readonly string[] => ['/bin/sh', '-c', script]

test('container runtime', { skip }, async (t) => {
  await using world = new RuntimeWorld()
  let cri = await world.start('--build-local-image')

  await t.test('tells its version and that it is ready', async () => {
    assert.deepEqual((await cri.runtime.version({}, signal)), { version: '0.1.0', runtimeName: 'k8ts', runtimeVersion: '0.1.0', runtimeApiVersion: 'v1' })
    assert.deepEqual((await cri.runtime.status({}, signal)).status?.conditions?.map((c) => [c.type, c.status]), [['RuntimeReady', true], ['NetworkReady', true]])
    assert.deepEqual((await cri.images.listImages({}, signal)).images?.flatMap((i) => i.repoTags).toSorted(), ['k8ts.local/web:1', 'k8ts.local/web:2'])
  })

  await t.test('a pod serves its image: web server, hostname, names, log, clean stop', async () => {
    const pod = await makePod(world, cri)
    const web = await runContainer(cri, pod.id, [], { logPath: 'web/0.log' })
    const other = await makePod(world, cri)
    const client = await runContainer(cri, other.id, sh('sleep 1000'))
    assert.equal(await world.eventually('the server listens', () => exec(cri, client, 'wget', '-qO-', `http://${pod.ip}/`).catch(() => undefined)), `web:1 on pod-${pods - 1}\n`)
    assert.equal(await exec(cri, web, 'wget', '-qO-', 'http://127.0.0.1/healthz'), 'ok\n')
    assert.equal(await exec(cri, client, 'cat', '/etc/resolv.conf'), 'search default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n')
    await cri.runtime.stopContainer({ containerId: web, timeout: 10 }, signal)
    const status = await statusOf(cri, web)
    assert.deepEqual([status.state, status.exitCode ?? 0, status.reason], ['CONTAINER_EXITED', 0, 'Completed'])
    const log = readFileSync(status.logPath ?? '', 'utf8')
    assert.match(log, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) stdout F web:1 listens on port 80\n/)
    for (const id of [pod.id, other.id]) await cri.runtime.removePodSandbox({ podSandboxId: id }, signal)
  })

  await t.test('process: user, groups, environment, working folder, capabilities, read-only root, mounts', async () => {
    const pod = await makePod(world, cri)
    const volume = join(world.dir, 'volume')
    mkdirSync(volume)
    mkdirSync(join(world.dir, 'writable'), { mode: 0o777 })
    chmodSync(join(world.dir, 'writable'), 0o777)
    writeFileSync(join(volume, 'file'), 'from the host\n')
    const id = await runContainer(cri, pod.id, sh('sleep 1000'), {
      workingDir: '/tmp', envs: [{ key: 'GREETING', value: Buffer.from('hello there') }], mounts: [{ containerPath: '/data', hostPath: volume, readonly: true }, { containerPath: '/tmp', hostPath: join(world.dir, 'writable') }],
      linux: { securityContext: { namespaceOptions: { pid: 'CONTAINER' }, runAsUser: { value: 1000 }, supplementalGroups: [4242], readonlyRootfs: true, noNewPrivs: true, capabilities: { dropCapabilities: ['ALL'] }, seccomp: { profileType: 'RuntimeDefault' } } },
    })
    const out = await exec(cri, id, 'sh', '-c', 'id -u; id -G; echo $GREETING; pwd; cat /data/file; touch /x 2>&1; touch /data/x 2>&1; touch /tmp/x && echo wrote; grep -E "CapBnd|NoNewPrivs|Seccomp:" /proc/self/status; unshare -U true 2>&1 || true')
    assert.deepEqual(out.trim().split('\n').map((line) => line.replaceAll('\t', ' ')), [
      '1000', '1000 4242', 'hello there', '/tmp', 'from the host', 'touch: /x: Read-only file system', 'touch: /data/x: Read-only file system', 'wrote', 'CapBnd: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2',
      'unshare: unshare(0x10000000): Operation not permitted',
    ])
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
  })

  await t.test('exit codes, start errors, kill after the grace, OOMKilled, exec with a time limit', async () => {
    const pod = await makePod(world, cri)
    const failed = await runContainer(cri, pod.id, sh('echo oh no >&2; exit 3'))
    const stubborn = await runContainer(cri, pod.id, sh('trap "" TERM; while :; do sleep 1; done'))
    const hungry = await runContainer(cri, pod.id, sh('tail /dev/zero'), { linux: { resources: { memoryLimitInBytes: 16 * 2 ** 20 } } })
    const { exitCode, reason, finishedAt = 0n, startedAt = 0n } = await exitOf(world, cri, failed)
    assert.deepEqual([exitCode, reason, finishedAt >= startedAt], [3, 'Error', true])
    await assert.rejects(runContainer(cri, pod.id, ['/no/such/program']), (error) => error instanceof CriError && /no such/i.test(error.message))
    await assert.rejects(cri.runtime.execSync({ containerId: stubborn, cmd: ['sleep', '100'], timeout: 1 }, signal), (error) => error instanceof CriError && error.code === 'DeadlineExceeded')
    assert.equal((await cri.runtime.execSync({ containerId: stubborn, cmd: sh('exit 42') }, signal)).exitCode, 42)
    await assert.rejects(cri.runtime.execSync({ containerId: stubborn, cmd: ['nothing-like-this'] }, signal), (error) => error instanceof CriError && error.code === 'Internal')
    await cri.runtime.stopContainer({ containerId: stubborn, timeout: 1 }, signal)
    assert.equal((await statusOf(cri, stubborn)).exitCode, 137)
    const oom = await exitOf(world, cri, hungry)
    assert.deepEqual([oom.exitCode, oom.reason], [137, 'OOMKilled'])
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
    await assert.rejects(statusOf(cri, failed), (error) => error instanceof CriError && error.code === 'NotFound')
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal) // again: nothing to do
  })

  await t.test('resources are the cgroup\'s, can be changed, and are counted', async () => {
    const pod = await makePod(world, cri)
    const id = await runContainer(cri, pod.id, sh('dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null; sleep 1000'), { linux: { resources: { memoryLimitInBytes: 64 * 2 ** 20, cpuQuota: 50_000, cpuPeriod: 100_000, cpuShares: 512, oomScoreAdj: -997 } } })
    const read = (file: string): Promise<string> => exec(cri, id, 'cat', `/sys/fs/cgroup/${file}`)
    if (!existsSync('/sys/fs/cgroup/cgroup.controllers')) assert.deepEqual([await read('memory/memory.limit_in_bytes'), await read('cpu/cpu.cfs_quota_us'), await read('cpu/cpu.shares')], [`${64 * 2 ** 20}\n`, '50000\n', '512\n'])
    await cri.runtime.updateContainerResources({ containerId: id, linux: { memoryLimitInBytes: 96 * 2 ** 20, cpuQuota: 80_000 } }, signal)
    if (!existsSync('/sys/fs/cgroup/cgroup.controllers')) assert.deepEqual([await read('memory/memory.limit_in_bytes'), await read('cpu/cpu.cfs_quota_us')], [`${96 * 2 ** 20}\n`, '80000\n'])
    const stats = await world.eventually('statistics', async () => { const { stats: found } = await cri.runtime.containerStats({ containerId: id }, signal); return (found?.writableLayer?.usedBytes?.value ?? 0) >= 3 * 2 ** 20 && found }, 15_000)
    assert.ok((stats.memory?.workingSetBytes?.value ?? 0) > 0 && (stats.cpu?.usageCoreNanoSeconds?.value ?? 0) > 0)
    const { stats: podStats } = await cri.runtime.podSandboxStats({ podSandboxId: pod.id }, signal)
    assert.equal(podStats?.linux?.network?.defaultInterface?.name, 'eth0')
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
  })

  await t.test('containers of a pod share network and shared memory; a shared process namespace when asked', async () => {
    const pod = await makePod(world, cri, { pid: 'POD' })
    const shared = { linux: { securityContext: { namespaceOptions: { pid: 'POD' as const } } } }
    await runContainer(cri, pod.id, [], shared)
    const second = await runContainer(cri, pod.id, sh('echo x > /dev/shm/mark; sleep 1000'), shared)
    const third = await runContainer(cri, pod.id, sh('sleep 1000'), shared)
    await world.eventually('the server listens', () => exec(cri, second, 'wget', '-qO-', 'http://localhost/').catch(() => undefined))
    assert.equal(await exec(cri, third, 'cat', '/dev/shm/mark'), 'x\n')
    assert.match(await exec(cri, third, 'ps'), /\/pause\n[^]*httpd/)
    await cri.runtime.stopContainer({ containerId: second, timeout: 0 }, signal)
    assert.equal((await statusOf(cri, second)).exitCode, 137)
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
    // The node's network: no namespace of its own, the node's name.
    const host = await makePod(world, cri, { linux: { cgroupParent: `${world.cgroup}/host`, securityContext: { namespaceOptions: { network: 'NODE', pid: 'CONTAINER' } } } })
    assert.equal(host.ip, '')
    const inHost = await runContainer(cri, host.id, sh('sleep 1000'))
    assert.match(await exec(cri, inHost, 'ip', 'addr', 'show', 'cni0'), /10\.233\.5\.1\/24/)
    await cri.runtime.removePodSandbox({ podSandboxId: host.id }, signal)
  })

  await t.test('host ports lead to the pod, also from the pod itself', async () => {
    const pod = await makePod(world, cri, { portMappings: [{ containerPort: 80, hostPort: 8081, protocol: 'TCP' }] })
    const web = await runContainer(cri, pod.id, [])
    const fetchInside = (url: string): string => world.inside(process.execPath, ['-e', `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(2000) }).then(async (r) => process.stdout.write(await r.text()))`])
    await world.eventually('the server answers', () => { try { return fetchInside('http://127.0.0.1:8081/') } catch { return undefined } })
    assert.match(fetchInside('http://10.233.5.1:8081/'), /^web:1 on /)
    assert.match(await exec(cri, web, 'wget', '-qO-', 'http://10.233.5.1:8081/'), /^web:1 on /)
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
  })

  await t.test('the log is opened anew after it was moved', async () => {
    const pod = await makePod(world, cri)
    const id = await runContainer(cri, pod.id, sh('i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done'), { logPath: 'log/0.log' })
    const path = (await statusOf(cri, id)).logPath ?? ''
    await world.eventually('it writes', () => readFileSync(path, 'utf8').includes('line 2'))
    renameSync(path, `${path}.old`)
    await cri.runtime.reopenContainerLog({ containerId: id }, signal)
    await world.eventually('it writes to the new file', () => existsSync(path) && readFileSync(path, 'utf8').includes('line'))
    await cri.runtime.removePodSandbox({ podSandboxId: pod.id }, signal)
  })

  await t.test('kill -9: containers go on, exit codes are kept, half-made things are taken back', async () => {
    const pod = await makePod(world, cri)
    const lasting = await runContainer(cri, pod.id, [], { logPath: 'web/0.log' })
    const ending = await runContainer(cri, pod.id, sh('sleep 0.4; exit 7'))
    const { createdAt, startedAt } = await statusOf(cri, lasting)
    const before = await exec(cri, lasting, 'cat', '/proc/sys/kernel/random/uuid', '/proc/1/stat').then((text) => text.split('\n')[1])
    // A sandbox and a container that were just being made when the process died.
    const calls = [makePod(world, cri), cri.runtime.createContainer({ podSandboxId: pod.id, config: { metadata: { name: 'half' }, image: { image } } }, signal)]
    const settled = Promise.allSettled(calls)
    await new Promise((resolve) => setImmediate(resolve))
    await world.end('SIGKILL')
    await settled
    cri[Symbol.dispose]()
    await new Promise((resolve) => setTimeout(resolve, 500))
    cri = await world.start()
    const ended = await exitOf(world, cri, ending)
    assert.deepEqual([ended.exitCode, ended.reason], [7, 'Error'])
    const now = await statusOf(cri, lasting)
    assert.deepEqual([now.state, now.createdAt, now.startedAt], ['CONTAINER_RUNNING', createdAt, startedAt])
    const after = await exec(cri, lasting, 'cat', '/proc/sys/kernel/random/uuid', '/proc/1/stat').then((text) => text.split('\n')[1])
    assert.equal(after?.split(' ')[21], before?.split(' ')[21], 'the same process, by its start time')
    const fresh = await runContainer(cri, pod.id, sh('sleep 1000'))
    assert.match(await exec(cri, fresh, 'wget', '-qO-', 'http://localhost/'), /^web:1 on /, 'a new container joins the old namespaces')
    for (const item of (await cri.runtime.listPodSandbox({}, signal)).items ?? []) await cri.runtime.removePodSandbox({ podSandboxId: item.id }, signal)
    assert.deepEqual((await cri.runtime.listContainers({}, signal)).containers ?? [], [])
  })

  await t.test('nothing is left behind', async () => {
    await world.eventually('interfaces of removed pods are gone', () => world.leftovers().length === 0, 5000).catch(() => undefined)
    assert.deepEqual(world.leftovers(), [])
    await world.end('SIGTERM')
  })
  cri[Symbol.dispose]()
})
