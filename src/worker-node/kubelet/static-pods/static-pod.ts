// A pod from a manifest on this node: its identity, the defaults that the API server would have set, and the mirror that shows it there. Pure
// but for the hash. Upstream: pkg/kubelet/config/common.go, pkg/kubelet/pod/mirror_client.go
import { createHash } from 'node:crypto'
import { isJsonObject } from '../../../lib/base/json.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { defaultPullPolicy } from '../images/image-manager.ts'
import { configHashAnnotation, configMirrorAnnotation, configSeenAnnotation, configSourceAnnotation } from '../pod/pod-facts.ts'
import type { Draft, JsonObject } from '../../../lib/base/json.ts'
import type { Container, Pod, PodSpec, Probe } from '../../../lib/api/generated/types/core-v1.ts'

export type StaticPodResult = { readonly ok: true; readonly pod: Pod } | { readonly ok: false; readonly message: string }

/** @param manifest the parsed file. @param nowMs when it was first seen. */
export function makeStaticPod(manifest: unknown, nodeName: string, nowMs: number): StaticPodResult {
  if (!isJsonObject(manifest)) return { ok: false, message: 'the manifest is no object' }
  if (manifest['kind'] !== 'Pod' || manifest['apiVersion'] !== 'v1') return { ok: false, message: `the manifest is of kind ${String(manifest['apiVersion'])} ${String(manifest['kind'])}, not v1 Pod` }
  const metadata = isJsonObject(manifest['metadata']) ? manifest['metadata'] : {}
  const name = metadata['name']
  if (typeof name !== 'string' || !/^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$/.test(name)) return { ok: false, message: 'metadata.name is missing or invalid' }
  const spec = manifest['spec']
  if (!isJsonObject(spec) || !Array.isArray(spec['containers']) || spec['containers'].length === 0) return { ok: false, message: 'spec.containers is required' }
  const forbidden = findApiReference(spec)
  if (forbidden !== undefined) return { ok: false, message: `static pods may not reference ${forbidden}` }
  const given = typeof metadata['uid'] === 'string' && metadata['uid'] !== '' ? metadata['uid'] : undefined
  const hash = createHash('md5').update(JSON.stringify(manifest)).update(`host:${nodeName}`).digest('hex')
  const uid = given ?? hash
  const pod = {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      ...metadata, name: `${name}-${nodeName.toLowerCase()}`, namespace: typeof metadata['namespace'] === 'string' && metadata['namespace'] !== '' ? metadata['namespace'] : 'default', uid,
      resourceVersion: '', creationTimestamp: '',
      annotations: { ...(isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}), [configHashAnnotation]: uid, [configSeenAnnotation]: formatTime(nowMs), [configSourceAnnotation]: 'file' },
    },
    spec: defaultSpec(spec, nodeName), status: { phase: 'Pending' },
  } as unknown as Pod // cast: JSON from a manifest, completed above
  return { ok: true, pod }
}

/** What a manifest names of the API, which a static pod must not. */
function findApiReference(spec: JsonObject): string | undefined {
  if (typeof spec['serviceAccountName'] === 'string' && spec['serviceAccountName'] !== '') return 'a service account'
  const text = JSON.stringify(spec)
  for (const [pattern, what] of [['"configMap":', 'configmaps'], ['"configMapKeyRef":', 'configmaps'], ['"configMapRef":', 'configmaps'], ['"secret":', 'secrets'], ['"secretKeyRef":', 'secrets'], ['"secretRef":', 'secrets'], ['"persistentVolumeClaim":', 'persistent volume claims']] as const) {
    if (text.includes(pattern)) return what
  }
  return undefined
}

function defaultSpec(spec: JsonObject, nodeName: string): PodSpec {
  const given = spec as unknown as PodSpec // cast: a manifest; the runtime refuses what is wrong in it
  const containers = (given.containers ?? []).map(defaultContainer)
  return {
    ...given, nodeName, containers, ...(given.initContainers ? { initContainers: given.initContainers.map(defaultContainer) } : {}),
    restartPolicy: given.restartPolicy ?? 'Always', terminationGracePeriodSeconds: given.terminationGracePeriodSeconds ?? 30, dnsPolicy: given.dnsPolicy ?? 'ClusterFirst',
    enableServiceLinks: given.enableServiceLinks ?? true, securityContext: given.securityContext ?? {}, schedulerName: given.schedulerName ?? 'default-scheduler',
    tolerations: [...(given.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }],
    ...(given.hostNetwork ? { hostNetwork: true } : {}),
  }
}

function defaultContainer(container: Container): Container {
  const limits = container.resources?.limits
  return {
    ...container, resources: { ...container.resources, ...(limits ? { requests: { ...limits, ...container.resources?.requests } } : {}) },
    imagePullPolicy: container.imagePullPolicy ?? defaultPullPolicy(container.image ?? ''), terminationMessagePath: container.terminationMessagePath ?? '/dev/termination-log',
    terminationMessagePolicy: container.terminationMessagePolicy ?? 'File', ...(container.ports ? { ports: container.ports.map((p) => ({ ...p, protocol: p.protocol ?? 'TCP' })) } : {}),
    ...(container.livenessProbe ? { livenessProbe: defaultProbe(container.livenessProbe) } : {}), ...(container.readinessProbe ? { readinessProbe: defaultProbe(container.readinessProbe) } : {}),
    ...(container.startupProbe ? { startupProbe: defaultProbe(container.startupProbe) } : {}),
  }
}

function defaultProbe(probe: Probe): Probe {
  return { ...probe, timeoutSeconds: probe.timeoutSeconds ?? 1, periodSeconds: probe.periodSeconds ?? 10, successThreshold: probe.successThreshold ?? 1, failureThreshold: probe.failureThreshold ?? 3 }
}

/** The object to create in the API for a static pod. */
export function mirrorOf(pod: Pod, node: { readonly name: string; readonly uid: string } | undefined): Draft<Pod> {
  const { uid, resourceVersion: _version, creationTimestamp: _created, ...metadata } = pod.metadata
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: {
      ...metadata, annotations: { ...metadata.annotations, [configMirrorAnnotation]: metadata.annotations?.[configHashAnnotation] ?? uid },
      ...(node ? { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid, controller: true }] } : {}),
    },
    spec: pod.spec,
  }
}
