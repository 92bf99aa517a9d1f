// What the API server serves: one row per resource and version, with everything that discovery and routing need to know.

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch'

export interface SubresourceInfo {
  readonly name: string
  /** Empty group and version mean: those of the parent resource. */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly string[]
}

export interface ResourceInfo {
  readonly group: string
  readonly version: string
  /** Plural, as in the URL. */
  readonly resource: string
  readonly kind: string
  /** Name of the message in the schema. */
  readonly type: string
  readonly namespaced: boolean
  readonly singular: string
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: readonly SubresourceInfo[]
}
