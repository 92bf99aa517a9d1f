// The original's configuration file (kubelet.config.k8s.io/v1beta1 KubeletConfiguration) and flags, turned into this kubelet's settings. Pure.
// Flags win over the file, the file over the defaults. Fields of the original that are not followed are named, so that the caller can say so.
// Upstream: staging/src/k8s.io/kubelet/config/v1beta1/types.go
import { parseGoDuration } from '../../lib/component-base/flags.ts'
import { isJsonObject } from '../../lib/base/json.ts'
import { defaultKubeletSettings } from './kubelet-options.ts'
import { quantityValue } from './pod/quantity-value.ts'
import type { JsonObject, JsonValue } from '../../lib/base/json.ts'
import type { KubeletSettings } from './kubelet-options.ts'
import type { Taint } from '../../lib/api/generated/types/core-v1.ts'

export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
}

/** What the file says beside the settings. */
export interface KubeletFile {
  readonly settings: Partial<KubeletSettings>
  readonly port: number | undefined
  readonly address: string | undefined
  readonly healthzPort: number | undefined
  readonly tlsCertFile: string | undefined
  readonly tlsPrivateKeyFile: string | undefined
  readonly clientCaFile: string | undefined
  readonly anonymousAuth: boolean | undefined
  readonly webhookAuth: boolean | undefined
  readonly authorizationMode: string | undefined
  readonly containerRuntimeEndpoint: string | undefined
  readonly podLogsDir: string | undefined
  readonly ignored: readonly string[]
}

/** Fields that say nothing this kubelet would do otherwise. */
const understood = new Set([
  'apiVersion', 'kind', 'enableServer', 'staticPodPath', 'syncFrequency', 'fileCheckFrequency', 'address', 'port', 'tlsCertFile', 'tlsPrivateKeyFile', 'registerWithTaints', 'registerNode', 'authentication', 'authorization',
  'healthzPort', 'healthzBindAddress', 'clusterDomain', 'clusterDNS', 'streamingConnectionIdleTimeout', 'nodeStatusUpdateFrequency', 'nodeStatusReportFrequency', 'nodeLeaseDurationSeconds', 'imageMinimumGCAge',
  'imageGCHighThresholdPercent', 'imageGCLowThresholdPercent', 'maxPods', 'podCIDR', 'podPidsLimit', 'resolvConf', 'serializeImagePulls', 'evictionHard', 'evictionSoft', 'evictionSoftGracePeriod',
  'evictionPressureTransitionPeriod', 'containerLogMaxSize', 'containerLogMaxFiles', 'systemReserved', 'kubeReserved', 'providerID', 'cgroupsPerQOS', 'cgroupDriver', 'cgroupRoot', 'containerRuntimeEndpoint', 'podLogsDir',
  'crashLoopBackOff', 'rotateCertificates', 'logging', 'failSwapOn', 'featureGates', 'httpCheckFrequency', 'volumeStatsAggPeriod', 'runtimeRequestTimeout', 'cpuManagerReconcilePeriod', 'shutdownGracePeriod',
  'shutdownGracePeriodCriticalPods', 'memorySwap', 'hairpinMode', 'failCgroupV1',
])

export function readKubeletFile(document: unknown): KubeletFile {
  if (!isJsonObject(document)) throw new ConfigurationError('the kubelet configuration is no object')
  if (document['kind'] !== 'KubeletConfiguration') throw new ConfigurationError(`the kubelet configuration is of kind ${JSON.stringify(document['kind'])}, not KubeletConfiguration`)
  if (document['apiVersion'] !== 'kubelet.config.k8s.io/v1beta1') throw new ConfigurationError(`no kind "KubeletConfiguration" is registered for version ${JSON.stringify(document['apiVersion'])}`)
  const get = reader(document)
  const authentication = object(document['authentication'])
  const crash = object(document['crashLoopBackOff'])
  const settings: { [K in keyof KubeletSettings]?: KubeletSettings[K] | undefined } = {
    staticPodPath: get.text('staticPodPath'), syncFrequencyMs: get.duration('syncFrequency'), fileCheckFrequencyMs: get.duration('fileCheckFrequency'), enableServer: get.flag('enableServer'), registerNode: get.flag('registerNode'),
    registerWithTaints: Array.isArray(document['registerWithTaints']) ? (document['registerWithTaints'] as unknown as readonly Taint[]) : undefined, // cast: a list of taints, which the API server validates
    clusterDomain: get.text('clusterDomain'), clusterDns: Array.isArray(document['clusterDNS']) ? document['clusterDNS'].map(String) : undefined, streamingIdleTimeoutMs: get.duration('streamingConnectionIdleTimeout'),
    nodeStatusUpdateFrequencyMs: get.duration('nodeStatusUpdateFrequency'), nodeStatusReportFrequencyMs: get.duration('nodeStatusReportFrequency'), nodeLeaseDurationSeconds: get.number('nodeLeaseDurationSeconds'),
    imageMinimumGcAgeMs: get.duration('imageMinimumGCAge'), imageGcHighThresholdPercent: get.number('imageGCHighThresholdPercent'), imageGcLowThresholdPercent: get.number('imageGCLowThresholdPercent'), maxPods: get.number('maxPods'),
    podCidr: get.text('podCIDR'), podPidsLimit: get.number('podPidsLimit'), resolvConf: get.text('resolvConf'), serializeImagePulls: get.flag('serializeImagePulls'), evictionHard: get.map('evictionHard'), evictionSoft: get.map('evictionSoft'),
    evictionSoftGracePeriodMs: get.durations('evictionSoftGracePeriod'), evictionPressureTransitionMs: get.duration('evictionPressureTransitionPeriod'),
    containerLogMaxBytes: document['containerLogMaxSize'] === undefined ? undefined : quantityValue(String(document['containerLogMaxSize'])), containerLogMaxFiles: get.number('containerLogMaxFiles'),
    systemReserved: get.map('systemReserved'), kubeReserved: get.map('kubeReserved'), providerId: get.text('providerID'), cgroupsPerQos: get.flag('cgroupsPerQOS'), cgroupRoot: get.text('cgroupRoot'), crashLoopMaximumMs: reader(crash).duration('maxContainerRestartPeriod'),
  }
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  return {
    settings: given, port: get.number('port'), address: get.text('address'), healthzPort: get.number('healthzPort'), tlsCertFile: get.text('tlsCertFile'), tlsPrivateKeyFile: get.text('tlsPrivateKeyFile'),
    clientCaFile: reader(object(authentication['x509'])).text('clientCAFile'), anonymousAuth: reader(object(authentication['anonymous'])).flag('enabled'), webhookAuth: reader(object(authentication['webhook'])).flag('enabled'),
    authorizationMode: reader(object(document['authorization'])).text('mode'), containerRuntimeEndpoint: get.text('containerRuntimeEndpoint'), podLogsDir: get.text('podLogsDir'),
    ignored: Object.keys(document).filter((key) => !understood.has(key)),
  }
}

function object(value: JsonValue | undefined): JsonObject { return isJsonObject(value) ? value : {} }

interface Reader {
  text(name: string): string | undefined
  number(name: string): number | undefined
  flag(name: string): boolean | undefined
  duration(name: string): number | undefined
  map(name: string): { readonly [key: string]: string } | undefined
  durations(name: string): { readonly [key: string]: number } | undefined
}

function reader(from: JsonObject): Reader {
  const wrong = (name: string, what: string): never => { throw new ConfigurationError(`${name} must be ${what}, not ${JSON.stringify(from[name])}`) }
  const typed = <T>(name: string, what: string, is: (value: unknown) => value is T): T | undefined => {
    const value = from[name]
    return value === undefined || value === null ? undefined : is(value) ? value : wrong(name, what)
  }
  const toMs = (name: string, value: unknown): number => parseGoDuration(String(value)) ?? wrong(name, 'a duration such as 10s')
  const durations = (name: string): { readonly [key: string]: number } | undefined => {
    const value = typed(name, 'a map', isJsonObject)
    return value && Object.fromEntries(Object.entries(value).map(([key, v]) => [key, toMs(name, v)]))
  }
  return {
    text: (name) => typed(name, 'a string', (v): v is string => typeof v === 'string'), number: (name) => typed(name, 'a number', (v): v is number => typeof v === 'number'),
    flag: (name) => typed(name, 'a boolean', (v): v is boolean => typeof v === 'boolean'), duration: (name) => (from[name] === undefined || from[name] === null ? undefined : toMs(name, from[name])),
    map: (name) => { const value = typed(name, 'a map', isJsonObject); return value && Object.fromEntries(Object.entries(value).map(([key, v]) => [key, String(v)])) }, durations,
  }
}

/** `key=value:Effect` or `key:Effect`. */
export function parseTaint(text: string): Taint {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text)
  if (!match) throw new ConfigurationError(`invalid taint spec: ${text}`)
  return { key: match[1] ?? '', effect: match[3] ?? '', ...(match[2] ? { value: match[2] } : {}) }
}

/** `memory.available<100Mi,nodefs.available<10%` */
export function parseThresholds(texts: readonly string[]): { readonly [signal: string]: string } {
  return Object.fromEntries(texts.map((text) => {
    const at = text.indexOf('<')
    if (at <= 0) throw new ConfigurationError(`invalid eviction threshold: ${text}`)
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()]
  }))
}

export function completeSettings(...parts: readonly Partial<KubeletSettings>[]): KubeletSettings { return Object.assign({}, defaultKubeletSettings, ...parts) as KubeletSettings } // cast: the defaults are complete
