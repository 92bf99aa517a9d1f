// KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): the file behind --config, read strictly and turned into profiles.
// Upstream: kube-scheduler apis/config/v1, apis/config/validation
import { isJsonObject } from '../../lib/base/json.ts'
import type { JsonObject, JsonValue } from '../../lib/base/json.ts'
import { builtInPlugins, defaultPlugins } from './plugins/registry.ts'
import type { PluginRegistry } from './plugins/registry.ts'
import { defaultSchedulerName, extensionPoints, implementsPoint } from './framework/profile.ts'
import type { EnabledPlugin, ExtensionPoint, Profile } from './framework/profile.ts'
import type { Plugin } from './framework/plugin.ts'

export const configApiVersion = 'kubescheduler.config.k8s.io/v1'

export interface PluginRef { readonly name: string; readonly weight?: number }
export interface PluginSet { readonly enabled?: readonly PluginRef[]; readonly disabled?: readonly PluginRef[] }

export interface ProfileConfiguration {
  readonly schedulerName?: string
  readonly percentageOfNodesToScore?: number
  readonly plugins?: { readonly [P in ExtensionPoint | 'multiPoint']?: PluginSet }
  readonly pluginConfig?: readonly { readonly name: string; readonly args?: JsonObject }[]
}

export interface ExtenderConfiguration {
  readonly urlPrefix: string
  readonly filterVerb?: string
  readonly prioritizeVerb?: string
  readonly preemptVerb?: string
  readonly bindVerb?: string
  readonly weight?: number
  readonly enableHTTPS?: boolean
  readonly httpTimeout?: string
  readonly nodeCacheCapable?: boolean
  readonly managedResources?: readonly { readonly name: string; readonly ignoredByScheduler?: boolean }[]
  readonly ignorable?: boolean
}

export interface SchedulerConfiguration {
  readonly percentageOfNodesToScore?: number
  readonly podInitialBackoffSeconds?: number
  readonly podMaxBackoffSeconds?: number
  readonly profiles?: readonly ProfileConfiguration[]
  readonly extenders?: readonly ExtenderConfiguration[]
  readonly leaderElection?: { readonly leaderElect?: boolean; readonly resourceName?: string; readonly resourceNamespace?: string }
  readonly clientConnection?: { readonly kubeconfig?: string }
}

/** The file is wrong; `field` says where. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly field: string
  constructor(field: string, message: string) { super(field === '' ? message : `${field}: ${message}`); this.field = field }
}

const knownFields: { readonly [where: string]: readonly string[] } = {
  '': ['apiVersion', 'kind', 'parallelism', 'leaderElection', 'clientConnection', 'enableProfiling', 'enableContentionProfiling', 'percentageOfNodesToScore', 'podInitialBackoffSeconds', 'podMaxBackoffSeconds', 'profiles', 'extenders', 'delayCacheUntilActive'],
  profile: ['schedulerName', 'percentageOfNodesToScore', 'plugins', 'pluginConfig'],
  plugins: [...extensionPoints, 'multiPoint'],
  extender: ['urlPrefix', 'filterVerb', 'prioritizeVerb', 'preemptVerb', 'bindVerb', 'weight', 'enableHTTPS', 'tlsConfig', 'httpTimeout', 'nodeCacheCapable', 'managedResources', 'ignorable'],
}

/** Checks a parsed file. @throws ConfigurationError */
export function readSchedulerConfiguration(value: JsonValue): SchedulerConfiguration {
  if (!isJsonObject(value)) throw new ConfigurationError('', 'the configuration must be an object')
  if (value['apiVersion'] !== configApiVersion || value['kind'] !== 'KubeSchedulerConfiguration') {
    throw new ConfigurationError('', `no kind "${String(value['kind'])}" is registered for version "${String(value['apiVersion'])}": expected KubeSchedulerConfiguration in ${configApiVersion}`)
  }
  refuseUnknown(value, '', '')
  percentage(value['percentageOfNodesToScore'], 'percentageOfNodesToScore')
  const initial = value['podInitialBackoffSeconds'] ?? 1
  const most = value['podMaxBackoffSeconds'] ?? 10
  if (typeof initial !== 'number' || initial <= 0) throw new ConfigurationError('podInitialBackoffSeconds', `Invalid value: ${String(initial)}: must be greater than 0`)
  if (typeof most !== 'number' || most < initial) throw new ConfigurationError('podMaxBackoffSeconds', `Invalid value: ${String(most)}: must be greater than or equal to PodInitialBackoffSeconds`)
  const names = new Set<string>()
  list(value['profiles'], 'profiles').forEach((profile, i) => {
    const at = `profiles[${i}]`
    refuseUnknown(profile, 'profile', at)
    percentage(profile['percentageOfNodesToScore'], `${at}.percentageOfNodesToScore`)
    const name = String(profile['schedulerName'] ?? defaultSchedulerName)
    if (name === '') throw new ConfigurationError(`${at}.schedulerName`, 'Required value')
    if (names.has(name)) throw new ConfigurationError(`${at}.schedulerName`, `Duplicate value: ${JSON.stringify(name)}`)
    names.add(name)
    if (isJsonObject(profile['plugins'])) refuseUnknown(profile['plugins'], 'plugins', `${at}.plugins`)
    list(profile['pluginConfig'], `${at}.pluginConfig`)
  })
  let binders = 0
  list(value['extenders'], 'extenders').forEach((extender, i) => {
    refuseUnknown(extender, 'extender', `extenders[${i}]`)
    if (typeof extender['urlPrefix'] !== 'string' || !URL.canParse(extender['urlPrefix'])) throw new ConfigurationError(`extenders[${i}].urlPrefix`, `Invalid value: ${JSON.stringify(extender['urlPrefix'])}: must be a URL`)
    if (extender['prioritizeVerb'] && !(Number(extender['weight']) > 0)) throw new ConfigurationError(`extenders[${i}].weight`, 'must have a positive weight applied to it')
    if (extender['bindVerb']) binders++
  })
  if (binders > 1) throw new ConfigurationError('extenders', `found ${binders} extenders implementing bind, only one extender can implement bind`)
  return value as unknown as SchedulerConfiguration // cast: checked above; plugins check their own arguments
}

function refuseUnknown(value: JsonObject, kind: string, at: string): void {
  for (const key of Object.keys(value)) if (!knownFields[kind]?.includes(key)) throw new ConfigurationError(at, `unknown field "${at === '' ? key : `${at}.${key}`}"`)
}

function list(value: JsonValue | undefined, at: string): readonly JsonObject[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value) || !value.every(isJsonObject)) throw new ConfigurationError(at, 'must be a list of objects')
  return value
}

function percentage(value: JsonValue | undefined, at: string): void {
  if (value === undefined || value === null) return
  if (typeof value !== 'number' || value < 0 || value > 100) throw new ConfigurationError(at, `Invalid value: ${String(value)}: not in valid range [0-100]`)
}

/** The profiles of a configuration; without any, the default one. @throws ConfigurationError for a plugin nobody knows. */
export function buildProfiles(configuration: SchedulerConfiguration = {}, registry: PluginRegistry = builtInPlugins): readonly Profile[] {
  const profiles = configuration.profiles && configuration.profiles.length > 0 ? configuration.profiles : [{}]
  return profiles.map((profile) => buildProfile(profile, configuration, registry))
}

function buildProfile(profile: ProfileConfiguration, configuration: SchedulerConfiguration, registry: PluginRegistry): Profile {
  const args = new Map<string, object>()
  for (const { name, args: given } of profile.pluginConfig ?? []) {
    if (args.has(name)) throw new ConfigurationError('pluginConfig', `repeated config for plugin ${name}`)
    args.set(name, given ?? {})
  }
  const ignored = (configuration.extenders ?? []).flatMap((e) => e.managedResources ?? []).filter((r) => r.ignoredByScheduler).map((r) => r.name)
  if (ignored.length > 0) args.set('NodeResourcesFit', { ...args.get('NodeResourcesFit'), ignoredResources: ignored })
  const made = new Map<string, Plugin>()
  const make = (name: string): Plugin => {
    let plugin = made.get(name)
    if (!plugin) {
      const factory = registry.get(name)
      if (!factory) throw new ConfigurationError('plugins', `plugin "${name}" is not registered`)
      made.set(name, plugin = factory(args.get(name) ?? {}))
    }
    return plugin
  }
  for (const name of args.keys()) if (!registry.has(name)) throw new ConfigurationError('pluginConfig', `plugin "${name}" is not registered`)
  const multiPoint = mergePlugins(defaultPlugins, profile.plugins?.multiPoint)
  const entries = extensionPoints.map((point): readonly [ExtensionPoint, readonly EnabledPlugin[]] => [point, pluginsAt(point, multiPoint, profile.plugins?.[point], make)])
  const points = Object.fromEntries(entries) as unknown as Profile['points'] // cast: one entry per extension point
  if (points.queueSort.length !== 1) throw new ConfigurationError('plugins.queueSort', `exactly one queue sort plugin is needed, there are ${points.queueSort.length}`)
  if (points.bind.length === 0) throw new ConfigurationError('plugins.bind', 'at least one bind plugin is needed')
  return { schedulerName: profile.schedulerName ?? defaultSchedulerName, percentageOfNodesToScore: profile.percentageOfNodesToScore ?? configuration.percentageOfNodesToScore ?? 0, points, args }
}

/** The defaults without the disabled ones, re-weighted where they are enabled again, then the rest of the enabled ones. */
function mergePlugins(defaults: readonly PluginRef[], set: PluginSet | undefined): readonly PluginRef[] {
  const disabled = new Set((set?.disabled ?? []).map((p) => p.name))
  const enabled = set?.enabled ?? []
  const kept = disabled.has('*') ? [] : defaults.filter((p) => !disabled.has(p.name)).map((p) => ({ ...p, ...enabled.find((e) => e.name === p.name) }))
  return [...kept, ...enabled.filter((e) => !kept.some((k) => k.name === e.name))]
}

/** Plugins enabled for the point itself come after those that multiPoint brings, and what is said for the point wins. */
function pluginsAt(point: ExtensionPoint, multiPoint: readonly PluginRef[], set: PluginSet | undefined, make: (name: string) => Plugin): readonly EnabledPlugin[] {
  const disabled = new Set((set?.disabled ?? []).map((p) => p.name))
  const specific = set?.enabled ?? []
  const brought = disabled.has('*') ? [] : multiPoint.filter((p) => !disabled.has(p.name) && implementsPoint(make(p.name), point))
  const refs = [...brought.map((p) => specific.find((s) => s.name === p.name) ?? p), ...specific.filter((s) => !brought.some((b) => b.name === s.name))]
  return refs.map(({ name, weight }) => {
    const plugin = make(name)
    if (!implementsPoint(plugin, point)) throw new ConfigurationError(`plugins.${point}`, `plugin "${name}" does not extend ${point} plugin`)
    return { plugin, weight: weight ?? multiPoint.find((p) => p.name === name)?.weight ?? 1 }
  })
}
