// Admission: after authorization and before storage, plugins may change what is written (first all that mutate, in the original's order) and then
// refuse it. They read other objects from caches only, so that a write costs no more than its own transaction.
// Upstream: apiserver/pkg/admission
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { ResourceInfo } from '../../../lib/api/resource-info.ts'
import type { UserInfo } from '../registry/strategy.ts'

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

export interface AdmissionRequest {
  readonly operation: AdmissionOperation
  readonly info: ResourceInfo
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** Absent for DELETE. For subresources such as binding and eviction: their own body. */
  readonly object?: ApiObject
  readonly oldObject?: ApiObject
  readonly user: UserInfo
  readonly dryRun: boolean
  readonly nowMs: number
  readonly signal: AbortSignal
  warn(text: string): void
}

export interface AdmissionPlugin {
  /** The original's name, as `--enable-admission-plugins` takes it. */
  readonly name: string
  /** Cheap test whether the plugin cares. */
  handles(request: AdmissionRequest): boolean
  /** The object as it is to be; the same object when nothing changes. @throws ApiError to refuse */
  mutate?(request: AdmissionRequest, object: ApiObject): ApiObject | Promise<ApiObject>
  /** @throws ApiError to refuse */
  validate?(request: AdmissionRequest): void | Promise<void>
}

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[]
  constructor(plugins: readonly AdmissionPlugin[]) { this.#plugins = plugins }

  async mutate(request: AdmissionRequest): Promise<ApiObject | undefined> {
    let object = request.object
    for (const plugin of this.#plugins) {
      if (!plugin.mutate || !plugin.handles(request)) continue
      if (object === undefined) continue
      object = await plugin.mutate(object === request.object ? request : { ...request, object }, object)
    }
    return object
  }

  async validate(request: AdmissionRequest): Promise<void> {
    for (const plugin of this.#plugins) if (plugin.validate && plugin.handles(request)) await plugin.validate(request)
  }
}

/** True for the resource itself (not a subresource) of this group. */
export function isResource(request: AdmissionRequest, group: string, resource: string, subresource = ''): boolean {
  return request.info.resource === resource && request.info.group === group && request.subresource === subresource
}
