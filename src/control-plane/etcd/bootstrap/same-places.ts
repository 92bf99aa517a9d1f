// Whether two lists of URLs lead to the same places: equal as text, or after looking their hosts up.
//
// Names may become known only while others start (a StatefulSet's pods): looking up is repeated for half a minute.
// Upstream: etcd/pkg/netutil/netutil.go
import { isIP } from 'node:net'
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import { parseMemberUrl, type MemberUrl } from '../membership/parse-urls.ts'
import { sameTexts, type SameUrls } from '../membership/plan-bootstrap.ts'

/** The address of a host name. @throws when it has none */
export type LookUpHost = (host: string) => Promise<string>

const retryMs = 1000
const patienceMs = 30_000

/** Looks up the hosts of lists that differ as text; the comparison then goes by address. */
export async function comparePlaces(lists: readonly (readonly string[])[], lookUp: LookUpHost, clock: Clock, signal: AbortSignal): Promise<SameUrls> {
  const addresses = new Map<string, string>()
  const first = lists[0] ?? []
  if (!lists.every((list) => sameTexts(first, list))) {
    const hosts = new Set(lists.flat().map((url) => parseMemberUrl(url).host).filter((host) => host !== '' && isIP(host) === 0))
    const untilMs = clock.monotonic() + patienceMs
    for (const host of hosts) {
      const address = await lookUpPatiently(host, lookUp, clock, untilMs, signal)
      if (address !== undefined) addresses.set(host, address)
    }
  }
  const placeOf = (text: string): string => {
    const url: MemberUrl = parseMemberUrl(text)
    return url.host === '' ? text : `${url.scheme}://${addresses.get(url.host) ?? url.host}:${url.port}`
  }
  return (a, b) => sameTexts(a, b) || sameTexts(a.map(placeOf), b.map(placeOf))
}

async function lookUpPatiently(host: string, lookUp: LookUpHost, clock: Clock, untilMs: number, signal: AbortSignal): Promise<string | undefined> {
  for (;;) {
    try {
      return await lookUp(host)
    } catch {
      if (signal.aborted || clock.monotonic() + retryMs > untilMs) return undefined
      await sleep(clock, retryMs, signal)
    }
  }
}
