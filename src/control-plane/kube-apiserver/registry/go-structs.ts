// Field errors print values as the original's internal types, whose JSON has Go's names and every field. Here are the types that come up in errors clients see often;
// other values are printed with the names of the API. Upstream: pkg/apis/*/types.go, apimachinery/pkg/util/validation/field
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'

/** Name in Go and in the API, and what is printed when it is absent. */
type GoField = readonly [go: string, api: string, absent: unknown]

const goStruct = (fields: readonly GoField[]) => (value: object | undefined): unknown => {
  if (value === undefined) return undefined
  // cast: read by name
  const members = value as { readonly [name: string]: unknown }
  return Object.fromEntries(fields.map(([go, api, absent]) => [go, members[api] ?? absent]))
}

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
export const goObjectReference = goStruct([
  ['Kind', 'kind', ''], ['Namespace', 'namespace', ''], ['Name', 'name', ''], ['UID', 'uid', ''], ['APIVersion', 'apiVersion', ''], ['ResourceVersion', 'resourceVersion', ''],
  ['FieldPath', 'fieldPath', ''],
])

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

/** An error whose value is left out. */
export const fieldInvalidUnshown = (field: string, detail: string): FieldError => ({ type: 'Invalid', field, body: `Invalid value: ${detail}` })
