// Buffers of one size that are used again and again. A new one for every 128 KiB that leave costs more than the copying: the memory lies outside
// the heap, and the collector answers each few megabytes of it with a full collection.

export const pooledBytes = 128 * 1024
/** More than this lie idle only for as long as they are in use: 8 MiB. */
const keptBuffers = 64
const free: Buffer[] = []

/** Of `pooledBytes`, with anything in it. */
export function takeBuffer(): Buffer { return free.pop() ?? Buffer.allocUnsafeSlow(pooledBytes) }

/** Nobody reads or writes it any more. Other sizes are left to the collector. */
export function giveBackBuffer(buffer: Buffer): void { if (buffer.length === pooledBytes && free.length < keptBuffers) free.push(buffer) }
