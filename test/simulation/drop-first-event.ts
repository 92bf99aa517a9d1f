// A fault for the controls of both simulations: a watch that loses an event.
import type { EtcdWatchObserver, EtcdWatchRequest } from '../../src/lib/etcd-client/etcd-client.ts'

/** Control: leaves out the first event of a watch that starts in the past. */
export function dropFirstEvent(request: EtcdWatchRequest, observer: EtcdWatchObserver): EtcdWatchObserver {
  let drop = (request.startRevision ?? 0) > 0
  return {
    created: (revision) => observer.created?.(revision),
    closed: (end) => observer.closed(end),
    events: (events, revision) => {
      const rest = drop && events.length > 0 ? events.slice(1) : events
      drop &&= events.length === 0
      if (rest.length > 0 || events.length === 0) observer.events(rest, revision)
    },
  }
}
