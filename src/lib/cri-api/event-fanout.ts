// Container events to any number of subscribers. Each has a bounded queue of its own: whoever falls behind loses its stream (and relists,
// as the kubelet does), never the others theirs.
import type { ContainerEventResponse } from './generated/types.ts'
import { CriError } from './cri-services.ts'

const maxWaiting = 1000

interface Subscriber {
  readonly waiting: ContainerEventResponse[]
  lagging: boolean
  wake(): void
}

export class EventFanout {
  readonly #subscribers = new Set<Subscriber>()

  publish(event: ContainerEventResponse): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.waiting.length >= maxWaiting) subscriber.lagging = true
      else subscriber.waiting.push(event)
      subscriber.wake()
    }
  }

  get subscriberCount(): number { return this.#subscribers.size }

  /** Ends when the signal is aborted. @throws CriError Unavailable when the reader fell behind */
  async* subscribe(signal: AbortSignal): AsyncGenerator<ContainerEventResponse> {
    let wake: () => void = () => {}
    const subscriber: Subscriber = { waiting: [], lagging: false, wake: () => wake() }
    const onAbort = (): void => wake()
    this.#subscribers.add(subscriber)
    signal.addEventListener('abort', onAbort)
    try {
      while (!signal.aborted) {
        const event = subscriber.waiting.shift()
        if (event) { yield event; continue }
        if (subscriber.lagging) throw new CriError('Unavailable', 'container event stream fell behind')
        await new Promise<void>((resolve) => { wake = resolve; if (signal.aborted || subscriber.waiting.length > 0) resolve() })
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#subscribers.delete(subscriber)
    }
  }
}
