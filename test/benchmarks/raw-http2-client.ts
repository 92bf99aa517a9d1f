// The benchmark's own gRPC client: frames built by hand and a counter of answers, so that the client costs little beside the server it
// measures. It speaks just enough HTTP/2: pre-encoded headers, flow control of what it sends, large windows for what it gets.
import { connect, type Socket } from 'node:net'

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const largestWindow = 2 ** 31 - 1
const largestFrame = 16_384

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** In pieces that every server takes. */
function dataFrames(stream: number, body: Buffer, end: boolean): Buffer {
  if (body.length <= largestFrame) return frame(0, end ? 1 : 0, stream, body)
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += largestFrame) pieces.push(frame(0, end && at + largestFrame >= body.length ? 1 : 0, stream, body.subarray(at, at + largestFrame)))
  return Buffer.concat(pieces)
}

/** A header as a literal without indexing; names and values under 127 bytes. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
}

export function headerBlock(path: string): Buffer {
  // 0x83: `:method: POST`, 0x86: `:scheme: http` of the static table.
  return Buffer.concat([Buffer.from([0x83, 0x86]), literal(':path', path), literal(':authority', '127.0.0.1'), literal('content-type', 'application/grpc'), literal('te', 'trailers')])
}

/** One message behind gRPC's head. */
export function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

export interface RawClientObserver {
  /** A piece of a stream's data, without frame head. Valid during the call. */
  data?(stream: number, bytes: Buffer): void
  ended?(stream: number): void
}

export class RawHttp2Client {
  readonly #socket: Socket
  readonly #observer: RawClientObserver
  readonly #out: Buffer[] = []
  readonly #blocked: { readonly bytes: Buffer; readonly counted: number }[] = []
  #planned = false
  #nextStream = 1
  #window = 65_535
  #consumed = 0
  #rest: Buffer | undefined

  constructor(socket: Socket, observer: RawClientObserver) {
    this.#socket = socket
    this.#observer = observer
    // SETTINGS: a window of 2^31-1 for every stream; then the same for the connection.
    const settings = Buffer.alloc(6)
    settings.writeUInt16BE(4, 0)
    settings.writeUInt32BE(largestWindow, 2)
    const update = Buffer.alloc(4)
    update.writeUInt32BE(largestWindow - 65_535, 0)
    socket.write(Buffer.concat([preface, frame(4, 0, 0, settings), frame(8, 0, 0, update)]))
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => { throw error })
  }

  static open(port: number, observer: RawClientObserver): Promise<RawHttp2Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => { socket.off('error', reject); resolve(new RawHttp2Client(socket, observer)) })
      socket.once('error', reject)
    })
  }

  /** Starts a stream with `block` as its headers. `body`: gRPC frames. */
  request(block: Buffer, body: Buffer, end: boolean): number {
    const stream = this.#nextStream
    this.#nextStream += 2
    this.#send(Buffer.concat([frame(1, 4, stream, block), dataFrames(stream, body, end)]), body.length)
    return stream
  }

  /** More of an open stream. */
  send(stream: number, body: Buffer): void { this.#send(dataFrames(stream, body, false), body.length) }

  #send(bytes: Buffer, counted: number): void {
    if (counted > this.#window || this.#blocked.length > 0) { this.#blocked.push({ bytes, counted }); return }
    this.#window -= counted
    this.#out.push(bytes)
    this.#plan()
  }

  #plan(): void {
    if (this.#planned) return
    this.#planned = true
    setImmediate(() => {
      this.#planned = false
      if (this.#out.length > 0) this.#socket.write(Buffer.concat(this.#out.splice(0)))
    })
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = 0
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3)
      if (bytes.length - at < 9 + length) break
      this.#frame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5) & 0x7fffffff, bytes.subarray(at + 9, at + 9 + length))
      at += 9 + length
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === 0) {
      this.#consumed += payload.length
      if (this.#consumed > 2 ** 26) {
        const update = Buffer.alloc(4)
        update.writeUInt32BE(this.#consumed, 0)
        this.#out.push(frame(8, 0, 0, update), ...(stream > 0 ? [frame(8, 0, stream, update)] : []))
        this.#consumed = 0
        this.#plan()
      }
      this.#observer.data?.(stream, payload)
    } else if (type === 4 && (flags & 1) === 0) { this.#out.push(frame(4, 1, 0, Buffer.alloc(0))); this.#plan() } else if (type === 6 && (flags & 1) === 0) { this.#out.push(frame(6, 1, 0, payload)); this.#plan() } else if (type === 8 && stream === 0) {
      this.#window += payload.readUInt32BE(0)
      while (this.#blocked.length > 0) {
        const { bytes, counted } = this.#blocked[0]! // cast: not empty
        if (counted > this.#window) break
        this.#window -= counted
        this.#out.push(bytes)
        this.#blocked.shift()
      }
      this.#plan()
    } else if (type === 7) throw new Error(`the server says GOAWAY ${payload.subarray(4).toString('hex')}`)
    if ((type === 0 || type === 1) && (flags & 1) !== 0) this.#observer.ended?.(stream)
    else if (type === 3) this.#observer.ended?.(stream)
  }

  close(): void { this.#socket.destroy() }
}
