// Reads the tag of an image's name, which decides the default pull policy. Upstream: pkg/util/parsers, github.com/distribution/reference
const pathExpression = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagExpression = /^\w[\w.-]{0,127}$/
const digestExpression = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/

/** `latest` when the name has neither tag nor digest; empty when it has a digest only, or is no name of an image. */
export function imageTag(image: string): string {
  const at = image.indexOf('@')
  const named = at < 0 ? image : image.slice(0, at)
  if (at >= 0 && !digestExpression.test(image.slice(at + 1))) return ''
  const slash = named.lastIndexOf('/')
  const colon = named.lastIndexOf(':')
  const hasTag = colon > slash
  const tag = hasTag ? named.slice(colon + 1) : ''
  if (hasTag && !tagExpression.test(tag)) return ''
  const repository = hasTag ? named.slice(0, colon) : named
  const first = repository.indexOf('/')
  const domain = first < 0 ? '' : repository.slice(0, first)
  const isDomain = domain !== '' && (domain.includes('.') || domain.includes(':') || domain === 'localhost' || domain.toLowerCase() !== domain)
  if (!pathExpression.test(isDomain ? repository.slice(first + 1) : repository)) return ''
  return hasTag || at >= 0 ? tag : 'latest'
}
