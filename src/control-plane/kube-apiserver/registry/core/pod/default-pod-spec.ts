// Defaults of a pod's spec, which hold for pods and for every template of pods. Path copy throughout: what needs no default is the object that came in.
// Upstream: pkg/apis/core/v1/defaults.go, zz_generated.defaults.go
import type { Container, ContainerPort, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, Probe, ResourceRequirements } from '../../../../../lib/api/generated/types/core-v1.ts'
import { roundResourceList } from '../../validation/quantities.ts'
import { imageTag } from './image-reference.ts'
import { defaultVolume } from './default-volume.ts'

/** `list.map(change)`, or the list itself when no item changed. */
export function mapChanged<E>(list: readonly E[], change: (item: E, index: number) => E): readonly E[] {
  let changed: E[] | undefined
  for (let i = 0; i < list.length; i++) {
    const item = list[i]
    if (item === undefined) continue
    const next = change(item, i)
    if (next === item) continue
    changed ??= list.slice()
    changed[i] = next
  }
  return changed ?? list
}

export const defaultPullPolicy = (image: string | undefined): string => imageTag(image ?? '') === 'latest' ? 'Always' : 'IfNotPresent'

export function roundRequirements<R extends ResourceRequirements | undefined>(requirements: R): R {
  if (!requirements) return requirements
  const limits = roundResourceList(requirements.limits)
  const requests = roundResourceList(requirements.requests)
  return limits === requirements.limits && requests === requirements.requests ? requirements : { ...requirements, limits, requests }
}

const defaultPort = (port: ContainerPort): ContainerPort => port.protocol ? port : { ...port, protocol: 'TCP' }

function defaultEnv(variable: EnvVar): EnvVar {
  const reference = variable.valueFrom?.fieldRef
  if (!reference || reference.apiVersion) return variable
  return { ...variable, valueFrom: { ...variable.valueFrom, fieldRef: { ...reference, apiVersion: 'v1' } } }
}

function defaultHttpGet(action: HTTPGetAction): HTTPGetAction {
  return action.path && action.scheme ? action : { ...action, path: action.path || '/', scheme: action.scheme || 'HTTP' }
}

function defaultProbe(probe: Probe): Probe {
  const httpGet = probe.httpGet && defaultHttpGet(probe.httpGet)
  const grpc = probe.grpc && (probe.grpc.service === undefined ? { ...probe.grpc, service: '' } : probe.grpc)
  if (probe.timeoutSeconds && probe.periodSeconds && probe.successThreshold && probe.failureThreshold && httpGet === probe.httpGet && grpc === probe.grpc) return probe
  return {
    ...probe, ...(httpGet && { httpGet }), ...(grpc && { grpc }), timeoutSeconds: probe.timeoutSeconds || 1, periodSeconds: probe.periodSeconds || 10,
    successThreshold: probe.successThreshold || 1, failureThreshold: probe.failureThreshold || 3,
  }
}

function defaultHandler(handler: LifecycleHandler | undefined): LifecycleHandler | undefined {
  if (!handler?.httpGet) return handler
  const httpGet = defaultHttpGet(handler.httpGet)
  return httpGet === handler.httpGet ? handler : { ...handler, httpGet }
}

function defaultLifecycle(lifecycle: Lifecycle): Lifecycle {
  const postStart = defaultHandler(lifecycle.postStart)
  const preStop = defaultHandler(lifecycle.preStop)
  return postStart === lifecycle.postStart && preStop === lifecycle.preStop ? lifecycle : { ...lifecycle, ...(postStart && { postStart }), ...(preStop && { preStop }) }
}

export function defaultContainer<C extends Container | EphemeralContainer>(container: C): C {
  let next = container
  if (!next.imagePullPolicy || !next.terminationMessagePath || !next.terminationMessagePolicy) {
    next = {
      ...next, imagePullPolicy: next.imagePullPolicy || defaultPullPolicy(next.image), terminationMessagePath: next.terminationMessagePath || '/dev/termination-log',
      terminationMessagePolicy: next.terminationMessagePolicy || 'File',
    }
  }
  const ports = next.ports && mapChanged(next.ports, defaultPort)
  if (ports !== next.ports) next = { ...next, ports }
  const env = next.env && mapChanged(next.env, defaultEnv)
  if (env !== next.env) next = { ...next, env }
  const resources = roundRequirements(next.resources)
  if (resources !== next.resources) next = { ...next, resources }
  const livenessProbe = next.livenessProbe && defaultProbe(next.livenessProbe)
  if (livenessProbe !== next.livenessProbe) next = { ...next, livenessProbe }
  const readinessProbe = next.readinessProbe && defaultProbe(next.readinessProbe)
  if (readinessProbe !== next.readinessProbe) next = { ...next, readinessProbe }
  const startupProbe = next.startupProbe && defaultProbe(next.startupProbe)
  if (startupProbe !== next.startupProbe) next = { ...next, startupProbe }
  const lifecycle = next.lifecycle && defaultLifecycle(next.lifecycle)
  return lifecycle === next.lifecycle ? next : { ...next, lifecycle }
}

const noSecurityContext = {}

/** `serviceAccount` is the old name of `serviceAccountName`; both are always written. */
export function syncServiceAccount(spec: PodSpec): PodSpec {
  const name = spec.serviceAccountName || spec.serviceAccount
  if (!name || (spec.serviceAccountName === name && spec.serviceAccount === name)) return spec
  return { ...spec, serviceAccountName: name, serviceAccount: name }
}

export function defaultPodSpec(spec: PodSpec | undefined): PodSpec {
  // cast: a spec without containers is refused by validation, not here
  let next = syncServiceAccount(spec ?? {} as PodSpec)
  if (!next.dnsPolicy || !next.restartPolicy || !next.securityContext || next.terminationGracePeriodSeconds === undefined || !next.schedulerName) {
    next = {
      ...next, restartPolicy: next.restartPolicy || 'Always', terminationGracePeriodSeconds: next.terminationGracePeriodSeconds ?? 30,
      dnsPolicy: next.dnsPolicy || 'ClusterFirst', securityContext: next.securityContext ?? noSecurityContext, schedulerName: next.schedulerName || 'default-scheduler',
    }
  }
  const volumes = next.volumes && mapChanged(next.volumes, defaultVolume)
  if (volumes !== next.volumes) next = { ...next, volumes }
  const initContainers = next.initContainers && mapChanged(next.initContainers, defaultContainer)
  if (initContainers !== next.initContainers) next = { ...next, initContainers }
  const containers = next.containers && mapChanged(next.containers, defaultContainer)
  if (containers !== next.containers) next = { ...next, containers }
  const ephemeralContainers = next.ephemeralContainers && mapChanged(next.ephemeralContainers, defaultContainer)
  if (ephemeralContainers !== next.ephemeralContainers) next = { ...next, ephemeralContainers }
  const overhead = roundResourceList(next.overhead)
  if (overhead !== next.overhead) next = { ...next, overhead }
  const resources = roundRequirements(next.resources)
  return resources === next.resources ? next : { ...next, resources }
}

/** Of controllers: Deployment, Job, … */
export function defaultPodTemplate(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const spec = defaultPodSpec(template?.spec)
  // cast: a template's metadata has no required field in practice
  if (!template) return { metadata: {} as PodTemplateSpec['metadata'], spec }
  return spec === template.spec ? template : { ...template, spec }
}
