// Extenders: programs of others, asked over HTTP to rule out nodes, to rank them, or to bind. Slow beside plugins, but in any language.
// Upstream: kube-scheduler extender.go, staging/src/k8s.io/kube-scheduler/extender/v1
import type { Clock } from '../../lib/base/clock.ts'
import { isJsonObject } from '../../lib/base/json.ts'
import type { JsonObject, JsonValue } from '../../lib/base/json.ts'
import type { Pod } from '../../lib/api/generated/types/core-v1.ts'
import { parseGoDuration } from '../../lib/component-base/flags.ts'
import type { NodeInfo } from './framework/node-info.ts'
import { status } from './framework/status.ts'
import type { Status } from './framework/status.ts'
import type { ExtenderConfiguration } from './scheduler-configuration.ts'

/** POSTs JSON, gives the JSON of the answer; throws when there is none. */
export type PostJson = (url: string, body: JsonObject, timeoutMs: number, signal: AbortSignal) => Promise<JsonValue>

/** The extender failed and isn't one to be ignored. */
export class ExtenderError extends Error {
  override readonly name = 'ExtenderError'
}

export interface ExtenderFilterOutcome {
  readonly feasible: readonly NodeInfo[]
  readonly refusals: ReadonlyMap<string, Status>
}

const defaultTimeoutMs = 5_000
/** Extenders rank from 0 to 10, plugins to 100. */
const scoreScale = 10

export class Extender {
  readonly configuration: ExtenderConfiguration
  readonly #post: PostJson
  constructor(configuration: ExtenderConfiguration, post: PostJson) { this.configuration = configuration; this.#post = post }

  get name(): string { return this.configuration.urlPrefix }
  get binds(): boolean { return Boolean(this.configuration.bindVerb) }

  /** Pods that use one of its resources; all pods when it names none. */
  isInterested(pod: Pod): boolean {
    const managed = this.configuration.managedResources ?? []
    if (managed.length === 0) return true
    return [...pod.spec.containers ?? [], ...pod.spec.initContainers ?? []].some(({ resources }) =>
      managed.some(({ name }) => resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined))
  }

  async filter(pod: Pod, nodes: readonly NodeInfo[], signal: AbortSignal): Promise<ExtenderFilterOutcome> {
    const verb = this.configuration.filterVerb
    if (!verb) return { feasible: nodes, refusals: new Map() }
    let answer: JsonObject
    try {
      answer = await this.#call(verb, this.#arguments(pod, nodes), signal)
      const error = field(answer, 'error')
      if (typeof error === 'string' && error !== '') throw new ExtenderError(error)
    } catch (error) {
      if (this.configuration.ignorable) return { feasible: nodes, refusals: new Map() }
      throw error
    }
    const names = new Set<string>()
    const list = field(answer, 'nodenames')
    if (this.configuration.nodeCacheCapable && Array.isArray(list)) for (const name of list) names.add(String(name))
    else {
      const items = field(asObject(field(answer, 'nodes')), 'items')
      if (Array.isArray(items)) for (const item of items) names.add(String(asObject(asObject(item)['metadata'])['name']))
    }
    const refusals = new Map<string, Status>()
    for (const [name, reason] of Object.entries(asObject(field(answer, 'failednodes')))) refusals.set(name, { ...status('unschedulable', String(reason)), plugin: this.name })
    for (const [name, reason] of Object.entries(asObject(field(answer, 'failedandunresolvablenodes')))) refusals.set(name, { ...status('unresolvable', String(reason)), plugin: this.name })
    return { feasible: nodes.filter((node) => names.has(node.name)), refusals }
  }

  /** Node → what it adds to the total. A failure counts as no opinion. */
  async prioritize(pod: Pod, nodes: readonly NodeInfo[], signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const scores = new Map<string, number>()
    const verb = this.configuration.prioritizeVerb
    if (!verb) return scores
    try {
      const answer = await this.#post(this.#url(verb), this.#arguments(pod, nodes), this.#timeoutMs, signal)
      for (const entry of Array.isArray(answer) ? answer : []) {
        const object = asObject(entry)
        scores.set(String(field(object, 'host')), Number(field(object, 'score') ?? 0) * (this.configuration.weight ?? 1) * scoreScale)
      }
    } catch (error) {
      if (signal.aborted) throw error
    }
    return scores
  }

  async bind(pod: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#call(this.configuration.bindVerb ?? '', { PodName: pod.metadata.name, PodNamespace: pod.metadata.namespace, PodUID: pod.metadata.uid, Node: nodeName }, signal)
    const error = field(answer, 'error')
    if (typeof error === 'string' && error !== '') throw new ExtenderError(error)
  }

  #arguments(pod: Pod, nodes: readonly NodeInfo[]): JsonObject {
    const json = (value: unknown): JsonObject => value as JsonObject // cast: API objects are JSON-shaped
    return this.configuration.nodeCacheCapable
      ? { Pod: json(pod), Nodes: null, NodeNames: nodes.map((node) => node.name) }
      : { Pod: json(pod), Nodes: { metadata: {}, items: nodes.map((node) => json(node.node)) }, NodeNames: null }
  }

  async #call(verb: string, body: JsonObject, signal: AbortSignal): Promise<JsonObject> { return asObject(await this.#post(this.#url(verb), body, this.#timeoutMs, signal)) }

  #url(verb: string): string { return `${this.configuration.urlPrefix.replace(/\/$/, '')}/${verb}` }
  get #timeoutMs(): number { return (this.configuration.httpTimeout && parseGoDuration(this.configuration.httpTimeout)) || defaultTimeoutMs }
}

const asObject = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {})

/** Field names are taken in any case, as Go takes them. */
function field(object: JsonObject, name: string): JsonValue | undefined {
  for (const [key, value] of Object.entries(object)) if (key.toLowerCase() === name) return value
  return undefined
}

/** The real one, over fetch. */
export function postOverHttp(clock: Clock): PostJson {
  return async (url, body, timeoutMs, signal) => {
    const stop = new AbortController()
    const onAbort = (): void => stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    using _timer = clock.setTimer(timeoutMs, () => stop.abort(new ExtenderError(`${url}: no answer in ${timeoutMs} ms`)))
    try {
      const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: stop.signal })
      if (!response.ok) throw new ExtenderError(`${url}: HTTP ${response.status}`)
      return await response.json() as JsonValue // cast: JSON
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}
