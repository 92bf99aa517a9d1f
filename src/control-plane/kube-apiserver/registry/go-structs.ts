// Field errors print values as the original's internal types, whose JSON has Go's names and every field. Here are the types that come up in errors clients see often;
// other values are printed with the names of the API. Upstream: pkg/apis/*/types.go, apimachinery/pkg/util/validation/field
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'

/** Name in Go and in the API, what is printed when it is absent, and how a value is printed that is a struct itself. */
type GoField = readonly [go: string, api: string, absent: unknown, print?: (value: object | undefined) => unknown]

const goStruct = (fields: readonly GoField[]) => (value: object | undefined): unknown => {
  if (value === undefined) return undefined
  // cast: read by name
  const members = value as { readonly [name: string]: unknown }
  // cast: fields that have a printer are structs
  return Object.fromEntries(fields.map(([go, api, absent, print]) => [go, (print ? print(members[api] as object | undefined) : members[api]) ?? absent]))
}

type StringMap = { readonly [key: string]: string | undefined } | undefined

/** Go prints maps in the order of their keys. */
export const goMap = (map: StringMap): StringMap => map && Object.fromEntries(Object.keys(map).sort().map((key) => [key, map[key]]))
type Selector = { readonly matchLabels?: StringMap } | undefined
export const goSelector = <S extends Selector>(selector: S): S => selector?.matchLabels ? { ...selector, matchLabels: goMap(selector.matchLabels) } : selector

export const goTaint = goStruct([['Key', 'key', ''], ['Value', 'value', ''], ['Effect', 'effect', ''], ['TimeAdded', 'timeAdded', null]])
export const goToleration = goStruct([
  ['Key', 'key', ''], ['Operator', 'operator', ''], ['Value', 'value', ''], ['Effect', 'effect', ''], ['TolerationSeconds', 'tolerationSeconds', null],
])
export const goNodeAddress = goStruct([['Type', 'type', ''], ['Address', 'address', '']])
export const goServicePort = goStruct([
  ['Name', 'name', ''], ['Protocol', 'protocol', ''], ['AppProtocol', 'appProtocol', null], ['Port', 'port', 0], ['TargetPort', 'targetPort', 0], ['NodePort', 'nodePort', 0],
])
export const goRoleRef = goStruct([['APIGroup', 'apiGroup', ''], ['Kind', 'kind', ''], ['Name', 'name', '']])
export const goParentReference = goStruct([['Group', 'group', ''], ['Resource', 'resource', ''], ['Namespace', 'namespace', ''], ['Name', 'name', '']])

export const goProfile = goStruct([['Type', 'type', ''], ['LocalhostProfile', 'localhostProfile', null]])
const goCapabilities = goStruct([['Add', 'add', null], ['Drop', 'drop', null]])
const goSeLinuxOptions = goStruct([['User', 'user', ''], ['Role', 'role', ''], ['Type', 'type', ''], ['Level', 'level', '']])
const goWindowsOptions = goStruct([
  ['GMSACredentialSpecName', 'gmsaCredentialSpecName', null], ['GMSACredentialSpec', 'gmsaCredentialSpec', null], ['RunAsUserName', 'runAsUserName', null], ['HostProcess', 'hostProcess', null],
])
export const goSecurityContext = goStruct([
  ['Capabilities', 'capabilities', null, goCapabilities], ['Privileged', 'privileged', null], ['SELinuxOptions', 'seLinuxOptions', null, goSeLinuxOptions],
  ['WindowsOptions', 'windowsOptions', null, goWindowsOptions], ['RunAsUser', 'runAsUser', null], ['RunAsGroup', 'runAsGroup', null], ['RunAsNonRoot', 'runAsNonRoot', null],
  ['ReadOnlyRootFilesystem', 'readOnlyRootFilesystem', null], ['AllowPrivilegeEscalation', 'allowPrivilegeEscalation', null], ['ProcMount', 'procMount', null],
  ['SeccompProfile', 'seccompProfile', null, goProfile], ['AppArmorProfile', 'appArmorProfile', null, goProfile],
])
export const goAddress = goStruct([['IP', 'ip', '']])
const goRolling = goStruct([['MaxUnavailable', 'maxUnavailable', 0], ['MaxSurge', 'maxSurge', 0]])
export const goStatefulSetRolling = goStruct([['Partition', 'partition', 0], ['MaxUnavailable', 'maxUnavailable', null]])
const goTyped = (rolling: (value: object | undefined) => unknown) => (strategy: { readonly type?: string, readonly rollingUpdate?: object } | undefined): unknown =>
  ({ Type: strategy?.type ?? '', RollingUpdate: rolling(strategy?.rollingUpdate) ?? null })
/** Of DaemonSets too. */
export const goDeploymentStrategy = goTyped(goRolling)
export const goStatefulSetStrategy = goTyped(goStatefulSetRolling)
const goTopologyKeys = goStruct([['Name', 'name', ''], ['NodeID', 'nodeID', ''], ['TopologyKeys', 'topologyKeys', null]])
/** Compared and printed without what may change. */
export const goCsiNodeDriver = (driver: object): unknown => ({ ...goTopologyKeys(driver) as object, Allocatable: null })

const goSuccessRule = goStruct([['SucceededIndexes', 'succeededIndexes', null], ['SucceededCount', 'succeededCount', null]])
export const goSuccessPolicy = (policy: { readonly rules?: readonly object[] }): unknown => ({ Rules: policy.rules?.map(goSuccessRule) ?? null })

export const goDisruptionSpec = goStruct([['MinAvailable', 'minAvailable', null], ['Selector', 'selector', null], ['MaxUnavailable', 'maxUnavailable', null], ['UnhealthyPodEvictionPolicy', 'unhealthyPodEvictionPolicy', null]])
const goAttachmentSource = goStruct([['PersistentVolumeName', 'persistentVolumeName', null], ['InlineVolumeSpec', 'inlineVolumeSpec', null]])
export const goAttachment = goStruct([['Attacher', 'attacher', ''], ['Source', 'source', {}, goAttachmentSource], ['NodeName', 'nodeName', '']])

/** An error whose value is left out. */
export const fieldInvalidUnshown = (field: string, detail: string): FieldError => ({ type: 'Invalid', field, body: `Invalid value: ${detail}` })
