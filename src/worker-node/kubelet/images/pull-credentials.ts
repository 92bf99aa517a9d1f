// Which credentials to offer a registry: from the pod's pull secrets and the node's config.json, the longest matching entry first.
// Upstream: pkg/credentialprovider/{config,keyring}.go
import { isJsonObject } from '../../../lib/base/json.ts'
import type { AuthConfig } from '../../../lib/cri-api/generated/types.ts'
import type { Secret } from '../../../lib/api/generated/types/core-v1.ts'

export interface RegistryCredential {
  /** Host, glob, or host and path: `docker.io`, `*.example.com`, `example.com/team`. */
  readonly registry: string
  readonly auth: AuthConfig
}

/** Reads what docker's config.json says (`auths`), or the older file that is its inside. Entries that can't be read are left out. */
export function parseDockerConfig(text: string): readonly RegistryCredential[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return []
  }
  if (!isJsonObject(parsed)) return []
  const auths = isJsonObject(parsed['auths']) ? parsed['auths'] : parsed
  return Object.entries(auths).flatMap(([registry, entry]) => {
    if (!isJsonObject(entry)) return []
    let username = typeof entry['username'] === 'string' ? entry['username'] : ''
    let password = typeof entry['password'] === 'string' ? entry['password'] : ''
    if (typeof entry['auth'] === 'string' && entry['auth'] !== '') {
      const decoded = decode(entry['auth'])
      const colon = decoded.indexOf(':')
      if (colon > 0) { username = decoded.slice(0, colon); password = decoded.slice(colon + 1) }
    }
    const identityToken = typeof entry['identitytoken'] === 'string' ? entry['identitytoken'] : ''
    if (username === '' && identityToken === '') return []
    return [{ registry: normalizeRegistry(registry), auth: { username, password, serverAddress: registry, ...(identityToken === '' ? {} : { identityToken }) } }]
  })
}

function decode(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)))
  } catch {
    return ''
  }
}

function normalizeRegistry(registry: string): string {
  return registry.replace(/^https?:\/\//, '').replace(/^(index\.docker\.io|registry-1\.docker\.io)/, 'docker.io').replace(/\/(v1|v2)\/?$/, '').replace(/\/$/, '')
}

/** The credentials in a pull secret; empty when it is of another type. */
export function secretCredentials(secret: Secret): readonly RegistryCredential[] {
  const key = secret.type === 'kubernetes.io/dockerconfigjson' ? '.dockerconfigjson' : secret.type === 'kubernetes.io/dockercfg' ? '.dockercfg' : undefined
  const data = key === undefined ? undefined : secret.data?.[key]
  return data === undefined ? [] : parseDockerConfig(decode(data))
}

/** The repository of an image, its registry spelled out: `nginx:1` → `docker.io/library/nginx`. */
export function repositoryOf(image: string): string {
  const bare = image.split('@')[0] ?? image
  const slash = bare.lastIndexOf('/')
  const colon = bare.indexOf(':', slash + 1)
  const repository = colon < 0 ? bare : bare.slice(0, colon)
  const [first = '', ...rest] = repository.split('/')
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  if (hasHost) return first === 'index.docker.io' ? `docker.io/${rest.join('/')}` : repository
  return rest.length === 0 ? `docker.io/library/${repository}` : `docker.io/${repository}`
}

/** Credentials for `image`, the most specific first. */
export function matchCredentials(image: string, all: readonly RegistryCredential[]): readonly AuthConfig[] {
  const repository = repositoryOf(image)
  return all.filter((c) => matches(repository, c.registry)).toSorted((a, b) => b.registry.length - a.registry.length).map((c) => c.auth)
}

function matches(repository: string, pattern: string): boolean {
  const [host = '', ...path] = repository.split('/')
  const [patternHost = '', ...patternPath] = pattern.split('/')
  const parts = host.split('.')
  const patternParts = patternHost.split('.')
  if (parts.length !== patternParts.length) return false
  const hostMatches = parts.every((part, i) => {
    const p = patternParts[i] ?? ''
    if (!p.includes('*')) return p === part
    return new RegExp(`^${p.split('*').map((s) => s.replace(/[^\w-]/g, '\\$&')).join('[^.]*')}$`).test(part)
  })
  return hostMatches && path.join('/').startsWith(patternPath.join('/'))
}
