import { test } from 'node:test'
import assert from 'node:assert/strict'
import { argumentsOf, buildContainerSpec } from './oci-spec.ts'
import type { SpecInput } from './oci-spec.ts'
import { capabilityNames } from './capabilities.ts'
import type { HostFacts } from './host-facts.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerConfig } from '../../../lib/cri-api/generated/types.ts'

const host: HostFacts = {
  capabilities: new Set(capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE')), oomScoreAdj: 0, cgroup2: false, hasHugetlb: false, hasSwapLimit: false, hasAppArmor: false, hasSeccomp: true,
  ociRuntime: undefined, conmonPath: undefined, architecture: 'x64',
}
const image = { config: { Entrypoint: ['/entry'], Cmd: ['default'], Env: ['PATH=/image', 'A=image'], WorkingDir: '/work' } }
const input = (config: ContainerConfig): SpecInput => ({
  config, sandboxConfig: {}, image, host, user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' }, rootfsPath: '/r', cgroupsPath: '/kubepods/pod1/c', namespaces: { network: '/n', ipc: '/i', uts: '/u', pid: 'new' },
  hostname: 'pod-a', files: { resolvConf: '/f/resolv.conf', hostname: '/f/hostname', hosts: '/f/hosts', shm: '/f/shm' }, devices: [], annotations: {},
})

test('command and arguments combine as Kubernetes says', () => {
  const cases: readonly (readonly [ContainerConfig, readonly string[]])[] = [
    [{}, ['/entry', 'default']], [{ args: ['own'] }, ['/entry', 'own']], [{ command: ['/own'] }, ['/own']], [{ command: ['/own'], args: ['x'] }, ['/own', 'x']],
  ]
  for (const [config, expected] of cases) assert.deepEqual(argumentsOf(config, image), expected)
  assert.throws(() => argumentsOf({}, {}), CriError)
})

test('environment: image, then pod; the hostname is known', () => {
  const { process } = buildContainerSpec(input({ envs: [{ key: 'A', value: Buffer.from('pod') }, { key: 'B', value: Buffer.from('x=y') }] }))
  assert.deepEqual(process.env, ['PATH=/image', 'HOSTNAME=pod-a', 'A=pod', 'B=x=y', 'HOME=/root'])
  assert.equal(process.cwd, '/work')
})

test('what the host can\'t do is left out or clamped', () => {
  const spec = buildContainerSpec(input({ linux: { resources: { oomScoreAdj: -997, memoryLimitInBytes: 1024, memorySwapLimitInBytes: 2048, hugepageLimits: [{ pageSize: '2MB', limit: 1 }], unified: { 'memory.high': '1' } }, securityContext: { privileged: true } } }))
  assert.equal(spec.process.oomScoreAdj, 0)
  assert.deepEqual(spec.linux.resources, { memory: { limit: 1024 }, devices: [{ allow: true, access: 'rwm' }] })
  assert.ok(!spec.process.capabilities.bounding?.includes('CAP_SYS_RESOURCE') && spec.process.capabilities.bounding?.includes('CAP_SYS_ADMIN'))
})

test('mounts: pod files unless the pod brings its own, sorted by depth, propagation', () => {
  const spec = buildContainerSpec(input({
    mounts: [
      { containerPath: '/a/b/c', hostPath: '/1', readonly: true }, { containerPath: '/a', hostPath: '/2', propagation: 'PROPAGATION_HOST_TO_CONTAINER' }, { containerPath: '/etc/hosts', hostPath: '/3' }, { containerPath: '/dev/shm/', hostPath: '/4' },
    ],
  }))
  const binds = spec.mounts.filter((mount) => mount.type === 'bind').map((mount) => [mount.destination, mount.source, mount.options.join()])
  assert.deepEqual(binds, [
    ['/etc/resolv.conf', '/f/resolv.conf', 'rbind,rprivate,rw'], ['/etc/hostname', '/f/hostname', 'rbind,rprivate,rw'], ['/a', '/2', 'rbind,rslave,rw'], ['/etc/hosts', '/3', 'rbind,rprivate,rw'],
    ['/dev/shm/', '/4', 'rbind,rprivate,rw'], ['/a/b/c', '/1', 'rbind,rprivate,ro'],
  ])
  assert.equal(spec.linux.rootfsPropagation, 'rslave')
  assert.throws(() => buildContainerSpec(input({ mounts: [{ containerPath: '/x/../etc', hostPath: '/1' }] })), CriError)
})

test('capabilities, seccomp and namespaces follow the security context', () => {
  const spec = buildContainerSpec(input({ linux: { securityContext: { capabilities: { dropCapabilities: ['ALL'], addCapabilities: ['net_bind_service', 'CAP_CHOWN'] }, seccomp: {}, maskedPaths: ['/proc/kcore'] } } }))
  assert.deepEqual(spec.process.capabilities, { bounding: ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'], effective: ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'], permitted: ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'] })
  assert.equal(spec.linux.seccomp?.defaultAction, 'SCMP_ACT_ERRNO')
  assert.ok(!spec.linux.seccomp?.syscalls?.some((rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.names.some((name) => ['mount', 'unshare', 'bpf', 'init_module', 'io_uring_setup', 'keyctl'].includes(name))))
  assert.deepEqual(spec.linux.namespaces, [{ type: 'mount' }, { type: 'network', path: '/n' }, { type: 'ipc', path: '/i' }, { type: 'uts', path: '/u' }, { type: 'pid' }, { type: 'cgroup' }])
  assert.deepEqual(spec.linux.maskedPaths, ['/proc/kcore'])
  assert.throws(() => buildContainerSpec(input({ linux: { securityContext: { capabilities: { addCapabilities: ['NO_SUCH'] } } } })), CriError)
})
