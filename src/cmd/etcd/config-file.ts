// The configuration file of etcd: YAML, with the flags' names as keys, and the sections that have no flag of their own form.
//
//   client-transport-security: {cert-file: …, key-file: …, trusted-ca-file: …, client-cert-auth: true, auto-tls: …, allowed-cn: […], allowed-hostname: […]}
//   peer-transport-security: the same, for members
//   discovery-config: {token: …, endpoints: […], dial-timeout: …, secure: {cert: …, …}, auth: {username: …, password: …}}
//   socket-options: {reuse-port: true}
//
// Durations are numbers of nanoseconds here, as Go's decoder has it. Keys that mean nothing are passed over, as the original does.
// Upstream: etcd/server/embed/config.go (configFromFile)
import { load } from 'js-yaml'
import { isJsonObject, type JsonObject, type JsonValue } from '../../lib/base/json.ts'
import { FlagError, type FlagSpec } from '../../lib/component-base/flags.ts'
import { etcdFlags } from './flag-specs.ts'

export interface ConfigFileSettings {
  /** As they would stand on a command line. */
  readonly args: readonly string[]
  /** Common names of clients, for which there is no flag. */
  readonly clientAllowedCns: readonly string[]
}

/** Flags that a file can't hold under their own name: they belong into a section. */
const onlyInSections = /^(peer-.*(file|auth|tls|cn|hostname|verification)|cert-file|key-file|client-(cert|key|crl)-.*|trusted-ca-file|auto-tls|discovery-(token|endpoints|dial-timeout|request-timeout|keepalive.*|insecure.*|cert|key|cacert|user|password)|socket-.*|config-file|raft-.*-timeout)$/

const securityNames: { readonly [key: string]: string } = {
  'cert-file': 'cert-file', 'key-file': 'key-file', 'client-cert-file': 'client-cert-file', 'client-key-file': 'client-key-file', 'client-cert-auth': 'client-cert-auth', 'trusted-ca-file': 'trusted-ca-file',
  'auto-tls': 'auto-tls', 'allowed-cn': 'cert-allowed-cn', 'allowed-hostname': 'cert-allowed-hostname', 'skip-client-san-verification': 'skip-client-san-verification',
  // Not the original's: it knows no such keys, although it has the flags.
  'crl-file': 'crl-file',
}
const discoveryNames: { readonly [key: string]: string } = { token: 'discovery-token', endpoints: 'discovery-endpoints', 'dial-timeout': 'discovery-dial-timeout', 'request-timeout': 'discovery-request-timeout', 'keepalive-time': 'discovery-keepalive-time', 'keepalive-timeout': 'discovery-keepalive-timeout' }
const discoverySecureNames: { readonly [key: string]: string } = {
  cert: 'discovery-cert', key: 'discovery-key', cacert: 'discovery-cacert', 'insecure-transport': 'discovery-insecure-transport', 'insecure-skip-tls-verify': 'discovery-insecure-skip-tls-verify',
}
const discoveryAuthNames: { readonly [key: string]: string } = { username: 'discovery-user', password: 'discovery-password' }

/** @throws FlagError when a value is not of its flag's kind */
export function readConfigFile(text: string, path: string): ConfigFileSettings {
  let settings: JsonValue
  try {
    settings = (load(text) ?? {}) as JsonValue // cast: YAML of JSON's kinds
  } catch (error) {
    throw new FlagError(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  if (!isJsonObject(settings)) throw new FlagError(`${path}: expected settings, one per line`)
  const args: string[] = []
  const client = sectionOf(settings, 'client-transport-security')
  const peer = sectionOf(settings, 'peer-transport-security')
  const discovery = sectionOf(settings, 'discovery-config')
  for (const [name, value] of Object.entries(settings)) {
    if (Object.hasOwn(etcdFlags, name) && !onlyInSections.test(name)) args.push(...flagOf(name, name, value))
  }
  args.push(...renamed(client, 'client-transport-security', (key) => (key === 'allowed-cn' ? undefined : key === 'crl-file' ? 'client-crl-file' : key === 'allowed-hostname' ? 'client-cert-allowed-hostname' : securityNames[key])))
  args.push(...renamed(peer, 'peer-transport-security', (key) => (securityNames[key] === undefined ? undefined : `peer-${securityNames[key]}`)))
  args.push(...renamed(discovery, 'discovery-config', (key) => discoveryNames[key]))
  args.push(...renamed(sectionOf(discovery, 'secure'), 'discovery-config.secure', (key) => discoverySecureNames[key]), ...renamed(sectionOf(discovery, 'auth'), 'discovery-config.auth', (key) => discoveryAuthNames[key]))
  args.push(...renamed(sectionOf(settings, 'socket-options'), 'socket-options', (key) => `socket-${key}`))
  return { args, clientAllowedCns: textsOf('client-transport-security.allowed-cn', client['allowed-cn'] ?? []) }
}

function sectionOf(settings: JsonObject, name: string): JsonObject {
  const section = settings[name]
  if (section === undefined || section === null) return {}
  if (!isJsonObject(section)) throw new FlagError(`invalid ${name}`)
  return section
}

function renamed(section: JsonObject, where: string, nameOf: (key: string) => string | undefined): readonly string[] {
  return Object.entries(section).flatMap(([key, value]) => {
    const name = nameOf(key)
    return name !== undefined && Object.hasOwn(etcdFlags, name) ? flagOf(`${where}.${key}`, name, value) : []
  })
}

function flagOf(where: string, name: string, value: JsonValue | undefined): readonly string[] {
  if (value === null || value === undefined) return []
  const spec: FlagSpec | undefined = (etcdFlags as { readonly [name: string]: FlagSpec })[name] // cast: seen as a table
  const wrong = (kind: string): never => { throw new FlagError(`${where}: expected ${kind}, got ${JSON.stringify(value)}`) }
  switch (spec?.type) {
    case undefined: case 'map': return []
    case 'bool': return typeof value === 'boolean' ? [`--${name}=${value}`] : wrong('true or false')
    case 'int': return typeof value === 'number' && Number.isInteger(value) ? [`--${name}=${value}`] : wrong('a whole number')
    case 'duration': return typeof value === 'number' && Number.isInteger(value) ? [`--${name}=${value}ns`] : wrong('a number of nanoseconds')
    case 'strings': return [`--${name}=${typeof value === 'string' ? value : textsOf(where, value).join(',')}`]
    // A number where a text belongs would be refused by the original; people write "auto-compaction-retention: 1" all the same.
    case 'string': return typeof value === 'object' ? wrong('a text') : [`--${name}=${String(value)}`]
  }
}

function textsOf(where: string, value: JsonValue): readonly string[] {
  if (!Array.isArray(value) || !value.every((text) => typeof text === 'string')) throw new FlagError(`${where}: expected a list of texts, got ${JSON.stringify(value)}`)
  return value
}
