// Images of the simulated runtime: every name can be pulled, and what was pulled (or asked for with `present`) is there. A test can make one fail.
import type { Clock } from '../../../lib/base/clock.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ImageService } from '../../../lib/cri-api/cri-services.ts'
import type { Image } from '../../../lib/cri-api/generated/types.ts'
import { inPieces } from '../../../lib/cri-api/container-filters.ts'

export interface SimulatedImages extends ImageService {
  /** Pulls of this image fail with the error until it is cleared with undefined. */
  failPull(image: string, error: CriError | undefined): void
  /** Names in the order of their pulls. */
  readonly pulled: readonly string[]
}

/** A number that depends on the text alone (FNV-1a), spread into 64 hexadecimal digits. */
function fakeDigest(text: string): string {
  let out = ''
  for (let round = 0; out.length < 64; round++) {
    let hash = 0x811c9dc5 ^ round
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
    out += hash.toString(16).padStart(8, '0')
  }
  return out
}

/** @param options.alwaysPresent makes every image count as being on the machine already. */
export function createSimulatedImages(options: { readonly clock: Clock; readonly alwaysPresent: boolean }): SimulatedImages {
  const images = new Map<string, Image>()
  const failures = new Map<string, CriError>()
  const pulled: string[] = []
  const make = (name: string): Image => {
    const digest = `sha256:${fakeDigest(name)}`
    const image: Image = { id: digest, repoTags: [name], repoDigests: [`${name.replace(/(@.*|:[^/]*)$/, '')}@${digest}`], size: 4_000_000, uid: { value: 0 }, spec: { image: digest } }
    images.set(name, image)
    return image
  }
  const find = (name: string): Image | undefined => {
    const known = images.get(name) ?? [...images.values()].find((image) => image.id === name || image.repoDigests?.includes(name))
    return known ?? (options.alwaysPresent && name !== '' && !failures.has(name) ? make(name) : undefined)
  }
  return {
    pulled,
    failPull(image, error) { if (error) { failures.set(image, error); images.delete(image) } else failures.delete(image) },
    async listImages(request) {
      const wanted = request.filter?.image?.image
      return { images: wanted ? [find(wanted)].filter((image) => image !== undefined) : [...images.values()] }
    },
    async* streamImages(request, signal) { for (const piece of inPieces((await this.listImages(request, signal)).images ?? [])) yield { images: piece } },
    async imageStatus(request) { return { image: find(request.image?.image ?? '') } },
    async pullImage(request) {
      const name = request.image?.image ?? ''
      const failure = failures.get(name)
      if (failure) throw failure
      if (name === '') throw new CriError('InvalidArgument', 'image name is empty')
      pulled.push(name)
      return { imageRef: (images.get(name) ?? make(name)).id }
    },
    async removeImage(request) {
      const image = images.get(request.image?.image ?? '') ?? find(request.image?.image ?? '')
      for (const [name, value] of images) if (value.id === image?.id) images.delete(name)
      return {}
    },
    async imageFsInfo() {
      const usage = {
        timestamp: BigInt(options.clock.now()) * 1_000_000n, fsId: { mountpoint: '/simulated' }, usedBytes: { value: 4_000_000 * images.size }, inodesUsed: { value: 100 * images.size },
      }
      return { imageFilesystems: [usage], containerFilesystems: [usage] }
    },
  }
}
