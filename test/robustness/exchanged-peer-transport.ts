// Stands in for peer/open-peer-transport.ts in a process of etcd-program.ts: the same transport, with a failpoint before and after each kind of
// message that is sent and each that comes.
import type { Message } from '../../src/control-plane/etcd/raft/messages.ts'
import { openPeerTransport as openRealTransport, type OpenPeerTransport, type PeerTransportOptions } from '../../src/control-plane/etcd/peer/open-peer-transport.ts'
import { pass } from './failpoints.ts'

/** Errors at a place of the network are lost messages. */
function passing(name: string): Promise<void> | undefined | 'lost' {
  try {
    return pass(name)
  } catch {
    return 'lost'
  }
}

/** Does it now, or when what was armed there is over; what comes later meanwhile overtakes it, as on a network. */
function after(name: string, act: () => void): void {
  const wait = passing(name)
  if (wait === 'lost') return
  if (wait === undefined) act()
  else void wait.then(act)
}

export async function openPeerTransport(options: PeerTransportOptions): Promise<OpenPeerTransport> {
  const { handler } = options
  const transport = await openRealTransport({
    ...options,
    handler: {
      step: (message) => after(`peer:receive:${message.type}:before`, () => {
        handler.step(message)
        void passing(`peer:receive:${message.type}:after`)
      }),
      receiveSnapshot: async (message, body) => {
        await pass('peer:receive:snapshot:before')
        await handler.receiveSnapshot(message, body)
        await pass('peer:receive:snapshot:after')
      },
      reportUnreachable: (id) => handler.reportUnreachable(id),
      peerEnded: (id) => handler.peerEnded(id),
      reportSnapshot: (id, outcome) => handler.reportSnapshot(id, outcome),
      isRemoved: (id) => handler.isRemoved(id),
      removedFromCluster: () => handler.removedFromCluster(),
    },
  })
  const send = transport.send.bind(transport)
  const sendSnapshot = transport.sendSnapshot.bind(transport)
  transport.send = (messages: readonly Message[]) => {
    const now: Message[] = []
    for (const message of messages) {
      const wait = passing(`peer:send:${message.type}:before`)
      if (wait === undefined) now.push(message)
      else if (wait !== 'lost') void wait.then(() => send([message]))
    }
    send(now)
    for (const type of new Set(now.map((message) => message.type))) void passing(`peer:send:${type}:after`)
  }
  transport.sendSnapshot = (message, body) => after('peer:send:snapshot:before', () => {
    sendSnapshot(message, body)
    void passing('peer:send:snapshot:after')
  })
  return transport
}
