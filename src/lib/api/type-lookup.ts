// From group, version and kind to the type in the schema: served kinds, their lists, and the kinds that stand in every group (DeleteOptions, Status, …).
import { splitApiVersion } from '../apimachinery/owner-reference.ts'
import { servedResources } from './generated/resources.ts'
import { hasMessage } from './message-plan.ts'
import type { ResourceInfo } from './resource-info.ts'

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1'
/** Options and answers that every group version accepts under its own apiVersion. */
const kindsOfEveryGroup: ReadonlySet<string> = new Set(['DeleteOptions', 'ListOptions', 'CreateOptions', 'UpdateOptions', 'PatchOptions', 'GetOptions', 'WatchEvent'])
const metaKinds: ReadonlySet<string> = new Set([...kindsOfEveryGroup, 'Status', 'APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions', 'PartialObjectMetadata', 'PartialObjectMetadataList', 'Table'])

const packages: ReadonlyMap<string, string> = new Map(servedResources.map((info) => [`${info.group}/${info.version}`, info.type.slice(0, info.type.lastIndexOf('.'))]))
const byKind: ReadonlyMap<string, ResourceInfo> = new Map(servedResources.map((info) => [`${info.group}/${info.version}/${info.kind}`, info]))
const byResource: ReadonlyMap<string, ResourceInfo> = new Map(servedResources.map((info) => [`${info.group}/${info.version}/${info.resource}`, info]))

/** The schema's id for a kind; undefined when the schema has none. */
export function typeIdOf(group: string, version: string, kind: string): string | undefined {
  if (metaKinds.has(kind) && (kindsOfEveryGroup.has(kind) || group === 'meta.k8s.io' || group === '')) return hasMessage(`${metaPackage}.${kind}`) ? `${metaPackage}.${kind}` : undefined
  const special: { readonly [group: string]: string } = { 'admission.k8s.io': 'io.k8s.api.admission', 'apidiscovery.k8s.io': 'io.k8s.api.apidiscovery' }
  const pkg = packages.get(`${group}/${version}`) ?? (special[group] === undefined ? undefined : `${special[group]}.${version}`)
  if (pkg === undefined) return undefined
  const id = `${pkg}.${kind}`
  return hasMessage(id) ? id : undefined
}

/** The same from an apiVersion. */
export function typeIdOfApiVersion(apiVersion: string, kind: string): string | undefined {
  const { group, version } = splitApiVersion(apiVersion)
  return typeIdOf(group, version, kind)
}

export function resourceOfKind(group: string, version: string, kind: string): ResourceInfo | undefined { return byKind.get(`${group}/${version}/${kind}`) }
export function resourceInfo(group: string, version: string, resource: string): ResourceInfo | undefined { return byResource.get(`${group}/${version}/${resource}`) }
