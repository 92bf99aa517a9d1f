// Image names as people write them and as they are stored. Pure.
//
// `nginx` means `docker.io/library/nginx:latest`; a first part with a dot, a colon or the name `localhost` is a registry.
// Upstream: github.com/distribution/reference

export interface ImageReference {
  /** Host, with port if any: `docker.io`. */
  readonly registry: string
  /** Path in it: `library/nginx`. */
  readonly repository: string
  /** Absent when a digest alone names the image. */
  readonly tag: string | undefined
  /** `sha256:…` */
  readonly digest: string | undefined
}

const registryPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const componentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const digestPattern = /^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$/

export function isDigest(text: string): boolean { return digestPattern.test(text) }

/** Undefined when the text is no image reference. */
export function parseReference(text: string): ImageReference | undefined {
  if (text.length > 4096) return undefined
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest)) return undefined
  const rest = at < 0 ? text : text.slice(0, at)
  const slash = rest.lastIndexOf('/')
  const colon = rest.indexOf(':', slash + 1)
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)
  if (tag !== undefined && !tagPattern.test(tag)) return undefined
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const first = path.indexOf('/')
  const head = first < 0 ? '' : path.slice(0, first)
  const isRegistry = head !== '' && (/[.:]/.test(head) || head === 'localhost' || head !== head.toLowerCase())
  const registry = isRegistry ? (head === 'index.docker.io' ? 'docker.io' : head) : 'docker.io'
  let repository = isRegistry ? path.slice(first + 1) : path
  if (registry === 'docker.io' && !repository.includes('/')) repository = `library/${repository}`
  if (!registryPattern.test(registry) || repository.length > 255 || !repository.split('/').every((part) => componentPattern.test(part))) return undefined
  if (!isRegistry && digestPattern.test(`sha256:${path}`)) return undefined // 64 hexadecimal digits are an id
  return { registry, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

/** `registry/repository`. */
export function repositoryName(reference: ImageReference): string { return `${reference.registry}/${reference.repository}` }

/** The full name by which the image is stored: by tag, or by digest when it has one. */
export function canonicalName(reference: ImageReference): string {
  return reference.digest === undefined ? `${repositoryName(reference)}:${reference.tag ?? 'latest'}` : `${repositoryName(reference)}@${reference.digest}`
}
