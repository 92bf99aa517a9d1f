// The environment of a container, from all sources: Services, envFrom, env with its references, in that order of precedence.
// Pure: what must be read (ConfigMaps, Secrets) is read beforehand and given.
// Rule it keeps: a required source that is missing is an outcome (the container waits with CreateContainerConfigError), not an exception.
// Upstream: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables)
import { expandReferences } from './expansion.ts'
import { fieldValue, resourceFieldValue } from './field-values.ts'
import { podNamespace } from '../pod/pod-facts.ts'
import type { PodAddresses } from './field-values.ts'
import type { ConfigMap, Container, EphemeralContainer, Pod, Secret } from '../../../lib/api/generated/types/core-v1.ts'

/** ConfigMaps and Secrets of the pod's namespace; undefined for what isn't there. */
export interface EnvironmentSources {
  configMap(name: string): ConfigMap | undefined
  secret(name: string): Secret | undefined
}

export type EnvironmentResult =
  | { readonly ok: true; readonly variables: ReadonlyMap<string, string>; readonly skipped: readonly SkippedKeys[] }
  | { readonly ok: false; readonly message: string }

/** Keys that can't be names of variables: told in an event, otherwise ignored. */
export interface SkippedKeys { readonly kind: 'ConfigMap' | 'Secret'; readonly name: string; readonly keys: readonly string[] }

/** Names of the ConfigMaps and Secrets that the container's environment needs. */
export function environmentReferences(container: Container | EphemeralContainer): { readonly configMaps: readonly string[]; readonly secrets: readonly string[] } {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  for (const source of container.envFrom ?? []) {
    if (source.configMapRef?.name) configMaps.add(source.configMapRef.name)
    if (source.secretRef?.name) secrets.add(source.secretRef.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef?.name) configMaps.add(valueFrom.configMapKeyRef.name)
    if (valueFrom?.secretKeyRef?.name) secrets.add(valueFrom.secretKeyRef.name)
  }
  return { configMaps: [...configMaps], secrets: [...secrets] }
}

export function makeEnvironment(
  pod: Pod, container: Container | EphemeralContainer, addresses: PodAddresses, services: { readonly [name: string]: string }, sources: EnvironmentSources,
): EnvironmentResult {
  const variables = new Map<string, string>()
  const skipped: SkippedKeys[] = []
  const namespace = podNamespace(pod)
  const no = (message: string): EnvironmentResult => ({ ok: false, message })

  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef
    const name = reference?.name ?? ''
    const object = configMapRef ? sources.configMap(name) : sources.secret(name)
    if (!object) {
      if (reference?.optional) continue
      return no(configMapRef ? `configmap "${name}" not found` : `secret "${name}" not found`)
    }
    const bad: string[] = []
    for (const [key, value] of Object.entries(object.data ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const variable = prefix + key
      if (variable === '' || /[=\0-\x1f\x7f]/.test(variable)) bad.push(key)
      else variables.set(variable, configMapRef ? value : decodeBase64(value))
    }
    if (bad.length > 0) skipped.push({ kind: configMapRef ? 'ConfigMap' : 'Secret', name, keys: bad })
  }

  const mayRefer = (name: string): string | undefined => variables.get(name) ?? services[name]
  for (const entry of container.env ?? []) {
    const from = entry.valueFrom
    let value = ''
    if (entry.value !== undefined && entry.value !== '') value = expandReferences(entry.value, mayRefer)
    else if (from?.fieldRef) {
      const found = fieldValue(pod, addresses, from.fieldRef.fieldPath)
      if (found === undefined) return no(`unsupported fieldPath: ${from.fieldRef.fieldPath}`)
      value = found
    } else if (from?.resourceFieldRef) {
      const found = resourceFieldValue(pod, addresses, from.resourceFieldRef, container.name)
      if (found === undefined) return no(`unsupported resource or container: ${from.resourceFieldRef.resource}`)
      value = found
    } else if (from?.configMapKeyRef) {
      const { name = '', key, optional } = from.configMapKeyRef
      const object = sources.configMap(name)
      const found = object?.data?.[key]
      if (found === undefined) {
        if (optional) continue
        return no(object ? `couldn't find key ${key} in ConfigMap ${namespace}/${name}` : `configmap "${name}" not found`)
      }
      value = found
    } else if (from?.secretKeyRef) {
      const { name = '', key, optional } = from.secretKeyRef
      const object = sources.secret(name)
      const found = object?.data?.[key]
      if (found === undefined) {
        if (optional) continue
        return no(object ? `couldn't find key ${key} in Secret ${namespace}/${name}` : `secret "${name}" not found`)
      }
      value = decodeBase64(found)
    } else if (from?.fileKeyRef) return no('fileKeyRef is not supported by this kubelet')
    // A later entry of the same name wins, and moves to its place.
    variables.delete(entry.name)
    variables.set(entry.name, value)
  }
  const out = new Map(variables)
  for (const [name, value] of Object.entries(services)) if (!out.has(name)) out.set(name, value)
  return { ok: true, variables: out, skipped }
}

function decodeBase64(text: string): string { return new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))) }
