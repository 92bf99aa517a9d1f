// What the API server must know of a kind beyond its schema. One strategy per kind, pure: defaulting, what a client may set when creating and
// updating, validation, warnings, and the fields that selectors may name. The generic endpoints do everything else.
// Upstream: pkg/registry/*/*/strategy.go, apiserver/pkg/registry/rest
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import type { ResourceInfo } from '../../../lib/api/resource-info.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'

export interface UserInfo {
  readonly name: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: { readonly [key: string]: readonly string[] }
}

/** What a strategy may know of the request. */
export interface StrategyContext {
  readonly user: UserInfo
  /** Wall time of the request, milliseconds since the epoch. */
  readonly nowMs: number
  readonly dryRun: boolean
  /** Sends a Warning header. */
  warn(text: string): void
}

/** What happens to dependents when a delete names no propagation policy. */
export type DefaultPropagation = 'Background' | 'Orphan'

export interface ResourceStrategy<T extends ApiObject = ApiObject> {
  readonly info: ResourceInfo
  /** PUT on a name that doesn't exist creates it. */
  readonly allowCreateOnUpdate: boolean
  /** PUT without resourceVersion is taken as "whatever the version". */
  readonly allowUnconditionalUpdate: boolean
  /** metadata.generation starts at 1 and counts changes of the desired state. */
  readonly tracksGeneration: boolean
  /** DELETE answers with the object instead of a Status. */
  readonly returnsDeletedObject: boolean
  readonly defaultPropagation: DefaultPropagation
  /** Pods: seconds to let it stop; undefined: deleted at once. */
  gracePeriodSeconds?(object: T): number | undefined

  /** Fills in defaults (the versioned defaults of the kind, SetDefaults_*), for reads of old objects as well as for writes. Idempotent. */
  applyDefaults(object: T): T
  /** Drops what a client may not set on create (status, for most kinds) and sets what the server sets. */
  prepareForCreate(object: T, context: StrategyContext): T
  /** The new object as it is to be stored: status from `old`, fields that can't change put back. */
  prepareForUpdate(object: T, old: T, context: StrategyContext): T
  /** Metadata (names, labels, annotations, owner references, finalizers) is validated by validate-object-meta.ts; call it with the kind's name rule. */
  validateCreate(object: T, context: StrategyContext): readonly FieldError[]
  validateUpdate(object: T, old: T, context: StrategyContext): readonly FieldError[]
  /** Texts for Warning headers. */
  warnings?(object: T, old: T | undefined, context: StrategyContext): readonly string[]
  /** True when the desired state differs, so that the generation counts on. Called when `tracksGeneration`. */
  desiredStateChanged?(object: T, old: T): boolean

  /** The same for PUT and PATCH on /status, where the kind has it. */
  readonly status?: {
    prepareForUpdate(object: T, old: T, context: StrategyContext): T
    validateUpdate(object: T, old: T, context: StrategyContext): readonly FieldError[]
  }
  /** Other subresources that take the whole object (pods/ephemeralcontainers, pods/resize, namespaces/finalize). */
  readonly subresources?: {
    readonly [name: string]: {
      prepareForUpdate(object: T, old: T, context: StrategyContext): T
      validateUpdate(object: T, old: T, context: StrategyContext): readonly FieldError[]
    }
  }
  /** Values of the fields that field selectors may name, metadata.name and metadata.namespace included. Others are refused with 400. */
  selectableFields(object: T): { readonly [field: string]: string }
}

/** Strategies by `group/resource` (`/pods`, `apps/deployments`), one per stored resource. */
export type StrategyTable = ReadonlyMap<string, ResourceStrategy>
