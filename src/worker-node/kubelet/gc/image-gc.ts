// Which images may go when the disk fills: unused ones, the longest unused first, until the use is below the low mark. Pure.
// Upstream: pkg/kubelet/images/image_gc_manager.go

export interface ImageRecord {
  readonly id: string
  readonly sizeBytes: number
  readonly firstDetectedAtMs: number
  /** 0 when it was never seen in use. */
  readonly lastUsedAtMs: number
  readonly inUse: boolean
  readonly pinned: boolean
}

export interface ImageGcInput {
  readonly images: readonly ImageRecord[]
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly highThresholdPercent: number
  readonly lowThresholdPercent: number
  readonly minimumAgeMs: number
  readonly nowMs: number
}

export interface ImageGcPlan {
  readonly remove: readonly ImageRecord[]
  /** Bytes that had to be freed; more than `remove` holds when there was not enough. */
  readonly wantedBytes: number
}

export function planImageGc(input: ImageGcInput): ImageGcPlan {
  const usedPercent = input.capacityBytes > 0 ? 100 - Math.floor((input.availableBytes * 100) / input.capacityBytes) : 0
  if (usedPercent < input.highThresholdPercent) return { remove: [], wantedBytes: 0 }
  const wantedBytes = Math.max(0, (input.capacityBytes * (100 - input.lowThresholdPercent)) / 100 - input.availableBytes)
  return { remove: pickImages(input, wantedBytes), wantedBytes }
}

/** The images to remove for `wantedBytes`, in order. */
export function pickImages(input: Pick<ImageGcInput, 'images' | 'minimumAgeMs' | 'nowMs'>, wantedBytes: number): readonly ImageRecord[] {
  const candidates = input.images.filter((i) => !i.inUse && !i.pinned && input.nowMs - i.firstDetectedAtMs >= input.minimumAgeMs && input.nowMs - i.lastUsedAtMs >= input.minimumAgeMs)
    .toSorted((a, b) => a.lastUsedAtMs - b.lastUsedAtMs || a.firstDetectedAtMs - b.firstDetectedAtMs)
  const out: ImageRecord[] = []
  let freed = 0
  for (const image of candidates) {
    if (freed >= wantedBytes) break
    out.push(image)
    freed += image.sizeBytes
  }
  return out
}
