// Makes a kind's strategy from its rules, and what most kinds have in common: the status is dropped on create, kept from the old object on update, and the only
// thing that /status writes; metadata is validated first; the generation counts changes of `spec`. A kind says only where it differs.
// Upstream: apiserver/pkg/registry/rest/{create,update}.go, pkg/registry/*/*/strategy.go
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import type { ResourceInfo } from '../../../lib/api/resource-info.ts'
import type { ObjectMeta } from '../../../lib/api/generated/types/meta-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { flagsOf, repeatsCreateValidation } from './kind-flags.ts'
import type { ResourceStrategy, StrategyContext } from './strategy.ts'
import { nameIsDnsSubdomain, nameIsPathSegment } from './name-rules.ts'
import type { NameRule } from './name-rules.ts'
import { semanticEqual } from './semantic-equal.ts'
import { validateObjectMeta, validateObjectMetaUpdate, validateStandardFinalizers } from './validate-object-meta.ts'

export interface SubresourceRules<T extends ApiObject> {
  prepareForUpdate(object: T, old: T, context: StrategyContext): T
  validateUpdate(object: T, old: T, errors: FieldError[], context: StrategyContext): void
}

export interface KindRules<T extends ApiObject> {
  /** Default: a DNS subdomain. */
  readonly nameRule?: NameRule
  gracePeriodSeconds?(object: T): number | undefined
  applyDefaults?(object: T): T
  /** A new object brings its status along. Default: the status is dropped. */
  readonly keepsStatusOnCreate?: boolean
  /** Runs on what the status was dropped from. */
  prepareForCreate?(object: T, context: StrategyContext): T
  /** Runs on what has the old status again. */
  prepareForUpdate?(object: T, old: T, context: StrategyContext): T
  /** What an object must fulfil besides its metadata. `old` for updates: of the kinds that repeat it then, and of those without `validateUpdate`. */
  validate?(object: T, errors: FieldError[], context: StrategyContext, old?: T): void
  /** For updates, after the metadata; without it `validate` is run. */
  validateUpdate?(object: T, old: T, errors: FieldError[], context: StrategyContext): void
  /** What /status may write besides the status. Default: metadata too. */
  prepareStatus?(object: T, old: T, context: StrategyContext): T
  validateStatus?(object: T, old: T, errors: FieldError[], context: StrategyContext): void
  warnings?(object: T, old: T | undefined, context: StrategyContext): readonly string[]
  /** Default: `spec` differs. */
  desiredStateChanged?(object: T, old: T): boolean
  readonly subresources?: { readonly [name: string]: SubresourceRules<T> }
  /** Besides metadata.name and metadata.namespace. */
  selectableFields?(object: T): { readonly [field: string]: string }
}

// cast: the two parts that most kinds have; absent in the others
const parts = (object: ApiObject): { readonly spec?: unknown; readonly status?: unknown } => object as { readonly spec?: unknown; readonly status?: unknown }

/** The object with this status; the same object when it has it already. */
export function withStatus<T extends ApiObject>(object: T, status: unknown): T {
  if (parts(object).status === status) return object
  // cast: the status comes from an object of the same kind or is empty
  return { ...object, status } as T
}

/** Everything from `old` but metadata and status. */
export function statusOnly<T extends ApiObject>(object: T, old: T): T {
  const { apiVersion = old.apiVersion, kind = old.kind } = object
  // cast: the status comes from an object of the same kind
  return { ...old, apiVersion, kind, metadata: object.metadata, status: parts(object).status } as T
}

/** For subresources that may not touch metadata: everything that users set there is as before. */
export function resetMetaForStatus(meta: ObjectMeta, old: ObjectMeta): ObjectMeta {
  return {
    ...meta, deletionTimestamp: old.deletionTimestamp, generation: old.generation, labels: old.labels, annotations: old.annotations,
    finalizers: old.finalizers, ownerReferences: old.ownerReferences,
  }
}

export function createStrategy<T extends ApiObject>(info: ResourceInfo, rules: KindRules<T>): ResourceStrategy<T> {
  const hasStatus = info.subresources.some((subresource) => subresource.name === 'status')
  const nameRule = rules.nameRule ?? nameIsDnsSubdomain
  const noStatus = {}
  const repeats = repeatsCreateValidation(`${info.group}/${info.resource}`)

  /**
   * Of updates, metadata is validated for all kinds first and by the kind again, so its errors come more than once. Clients see the causes so, and the message, where
   * the same text comes but once. Without an error the first time there is none later.
   */
  const validateMetaUpdate = (object: T, old: T, errors: FieldError[], again?: () => void): void => {
    const { metadata } = object
    validateObjectMeta(metadata, info.namespaced, nameIsPathSegment, 'metadata', errors)
    validateObjectMetaUpdate(metadata, old.metadata, 'metadata', errors)
    const wrong = errors.length > 0
    if (again && wrong) validateObjectMeta(metadata, info.namespaced, nameRule, 'metadata', errors)
    if (again) validateStandardFinalizers(metadata.finalizers, 'metadata.finalizers', errors)
    again?.()
    if (wrong) validateObjectMetaUpdate(metadata, old.metadata, 'metadata', errors)
    validateStandardFinalizers(metadata.finalizers, 'metadata.finalizers', errors)
  }

  const adapted = (part: SubresourceRules<T>): NonNullable<ResourceStrategy<T>['status']> => ({
    prepareForUpdate: (object, old, context) => part.prepareForUpdate(object, old, context),
    validateUpdate(object, old, context) {
      const errors: FieldError[] = []
      validateMetaUpdate(object, old, errors)
      part.validateUpdate(object, old, errors, context)
      return errors
    },
  })

  const strategy: ResourceStrategy<T> = {
    info,
    ...flagsOf(`${info.group}/${info.resource}`),
    applyDefaults: (object) => rules.applyDefaults ? rules.applyDefaults(object) : object,
    prepareForCreate(object, context) {
      const bare = hasStatus && !rules.keepsStatusOnCreate ? withStatus(object, noStatus) : object
      return rules.prepareForCreate ? rules.prepareForCreate(bare, context) : bare
    },
    prepareForUpdate(object, old, context) {
      const kept = hasStatus ? withStatus(object, parts(old).status) : object
      return rules.prepareForUpdate ? rules.prepareForUpdate(kept, old, context) : kept
    },
    validateCreate(object, context) {
      const errors: FieldError[] = []
      validateObjectMeta(object.metadata, info.namespaced, nameRule, 'metadata', errors)
      validateStandardFinalizers(object.metadata.finalizers, 'metadata.finalizers', errors)
      rules.validate?.(object, errors, context)
      return errors
    },
    validateUpdate(object, old, context) {
      const errors: FieldError[] = []
      validateMetaUpdate(object, old, errors, repeats ? () => rules.validate?.(object, errors, context, old) : undefined)
      if (rules.validateUpdate) rules.validateUpdate(object, old, errors, context)
      else rules.validate?.(object, errors, context, old)
      return errors
    },
    desiredStateChanged: (object, old) => rules.desiredStateChanged ? rules.desiredStateChanged(object, old) : !semanticEqual(parts(object).spec, parts(old).spec),
    selectableFields(object) {
      const own = rules.selectableFields?.(object)
      const named: { [field: string]: string } = { 'metadata.name': object.metadata.name }
      if (info.namespaced) named['metadata.namespace'] = object.metadata.namespace ?? ''
      return own ? Object.assign(named, own) : named
    },
    ...(rules.gracePeriodSeconds && { gracePeriodSeconds: (object: T) => rules.gracePeriodSeconds?.(object) }),
    ...(rules.warnings && { warnings: (object: T, old: T | undefined, context: StrategyContext) => rules.warnings?.(object, old, context) ?? [] }),
    ...(hasStatus && {
      status: adapted({
        prepareForUpdate: (object, old, context) => rules.prepareStatus ? rules.prepareStatus(object, old, context) : statusOnly(object, old),
        validateUpdate: (object, old, errors, context) => rules.validateStatus?.(object, old, errors, context),
      }),
    }),
    ...(rules.subresources && {
      subresources: Object.fromEntries(Object.entries(rules.subresources).map(([name, part]) => [name, adapted(part)])),
    }),
  }
  return strategy
}
