// Who listens on all addresses and does not say under which to be reached is reached under the machine's own.
// Upstream: etcd/server/embed/config.go (UpdateDefaultClusterFromName)
import { parseMemberUrl } from '../../control-plane/etcd/membership/parse-urls.ts'
import type { EtcdSettings } from './check-settings.ts'

const defaults = { 'initial-advertise-peer-urls': 'http://localhost:2380', 'advertise-client-urls': 'http://localhost:2379' } as const

/** @param host the machine's address; undefined when it has none but loopback */
export function advertiseDefaultHost(flags: EtcdSettings, host: string | undefined): EtcdSettings {
  if (host === undefined) return flags
  const better = (advertised: keyof typeof defaults, listened: readonly string[]): readonly string[] => {
    const urls = flags[advertised]
    const first = listened[0] === undefined ? undefined : parseMemberUrl(listened[0])
    const isDefault = urls.length === 1 && urls[0] === defaults[advertised]
    return isDefault && first?.host === '0.0.0.0' ? [`http://${host}:${first.port}`] : urls
  }
  return { ...flags, 'initial-advertise-peer-urls': better('initial-advertise-peer-urls', flags['listen-peer-urls']), 'advertise-client-urls': better('advertise-client-urls', flags['listen-client-urls']) }
}
