// Every flag of etcd 3.7, under the original's names and with its defaults. Upstream: etcd/server/embed/config.go, etcd/server/etcdmain/help.go
import type { FlagSpecs } from '../../lib/component-base/flags.ts'

const memberFlags = {
  name: { type: 'string', default: 'default', usage: 'name of this member' },
  'data-dir': { type: 'string', usage: 'folder for the data (default "${name}.etcd")' },
  'wal-dir': { type: 'string', usage: 'folder for the write-ahead log, when it is to lie elsewhere' },
  'config-file': { type: 'string', usage: 'YAML file with these settings; other flags and variables are then ignored' },
  'snapshot-count': { type: 'int', default: 10_000, usage: 'log entries after which a snapshot may be written' },
  'snapshot-catchup-entries': { type: 'int', default: 5000, usage: 'log entries kept for followers that are behind a snapshot' },
  'heartbeat-interval': { type: 'int', default: 100, usage: 'milliseconds between heartbeats' },
  'election-timeout': { type: 'int', default: 1000, usage: 'milliseconds without a heartbeat before an election; the shortest lease is one and a half times as long' },
  'initial-election-tick-advance': { type: 'bool', default: true, usage: 'elect sooner than after a whole election timeout at the start' },
  'listen-peer-urls': { type: 'strings', default: ['http://localhost:2380'], usage: 'where to listen for other members' },
  'listen-client-urls': { type: 'strings', default: ['http://localhost:2379'], usage: 'where to listen for clients' },
  'listen-client-http-urls': { type: 'strings', usage: 'where to listen for HTTP that is not gRPC; with it, --listen-client-urls are for gRPC alone' },
  'listen-metrics-urls': { type: 'strings', usage: 'more places to answer /metrics and /health' },
  'quota-backend-bytes': { type: 'int', usage: 'size at which the store takes nothing more; 0 is 2 GiB, negative is none' },
  'max-txn-ops': { type: 'int', default: 128, usage: 'most operations in a transaction' },
  'max-request-bytes': { type: 'int', default: 1_572_864, usage: 'largest request' },
  'socket-reuse-port': { type: 'bool', usage: 'let other processes listen on the same ports (SO_REUSEPORT)' },
  'enable-grpc-gateway': { type: 'bool', default: true, usage: 'serve JSON under /v3/' },
  'enable-v2': { type: 'bool', usage: 'serve the second API under /v2/ too, as etcd did up to 3.5' },
  'feature-gates': { type: 'string', usage: 'Name=true,Name=false, as in the original; AllAlpha, AllBeta. Without effect: FastLeaseKeepAlive (a quorum is always asked), LeaseCheckpointPersist (always), TxnModeWriteWithSharedBuffer (no such buffer)' },
} as const satisfies FlagSpecs

const clusterFlags = {
  'initial-advertise-peer-urls': { type: 'strings', default: ['http://localhost:2380'], usage: 'where other members are told to reach this one' },
  'initial-cluster': { type: 'string', usage: 'members to begin with: name=peer URL, comma-separated; a name with several URLs comes several times (default this member alone)' },
  'initial-cluster-state': { type: 'string', default: 'new', usage: "'new', or 'existing' to join a cluster that runs; without effect once there is data" },
  'initial-cluster-token': { type: 'string', default: 'etcd-cluster', usage: 'keeps clusters apart that have the same URLs' },
  'advertise-client-urls': { type: 'strings', default: ['http://localhost:2379'], usage: 'where clients are told to reach this member' },
  'discovery-srv': { type: 'string', usage: 'DNS domain whose SRV records name the members to begin with' },
  'discovery-srv-name': { type: 'string', usage: "suffix of the records' name: _etcd-server-NAME._tcp" },
  'discovery-token': { type: 'string', usage: 'discovery service: name of the cluster to begin' },
  'discovery-endpoints': { type: 'strings', usage: 'discovery service: where it is' },
  'discovery-dial-timeout': { type: 'duration', default: 2000, usage: 'discovery service: time to connect' },
  'discovery-request-timeout': { type: 'duration', default: 5000, usage: 'discovery service: time for a request' },
  'discovery-insecure-transport': { type: 'bool', default: true, usage: 'discovery service: without TLS' },
  'discovery-insecure-skip-tls-verify': { type: 'bool', usage: "discovery service: don't check its certificate" },
  'discovery-cert': { type: 'string', usage: 'discovery service: client certificate' },
  'discovery-key': { type: 'string', usage: 'discovery service: key of that certificate' },
  'discovery-cacert': { type: 'string', usage: 'discovery service: authorities for its certificate' },
  'discovery-user': { type: 'string', usage: 'discovery service: user[:password]' },
  'discovery-password': { type: 'string', usage: 'discovery service: password' },
  'strict-reconfig-check': { type: 'bool', default: true, usage: 'refuse membership changes that would cost the quorum' },
  'pre-vote': { type: 'bool', default: true, usage: 'ask before calling an election, so that a member that was cut off disturbs nobody' },
  'max-learners': { type: 'int', default: 1, usage: 'most learners in the cluster' },
  'auto-compaction-mode': { type: 'string', default: 'periodic', usage: "'periodic' or 'revision'" },
  'auto-compaction-retention': { type: 'string', default: '0', usage: 'history to keep: a duration (or hours), or a number of revisions; 0 turns compaction off' },
  'force-new-cluster': { type: 'bool', usage: 'forget all other members, keep the data' },
  'unsafe-no-fsync': { type: 'bool', usage: "leave writes to the operating system; its crash loses what was acknowledged" },
  'downgrade-check-time': { type: 'duration', default: 5000, usage: 'time between looks whether a downgrade is done; 0 is never' },
} as const satisfies FlagSpecs

const securityFlags = {
  'cert-file': { type: 'string', usage: 'certificate for clients' },
  'key-file': { type: 'string', usage: 'key of that certificate' },
  'client-cert-auth': { type: 'bool', usage: 'only let clients in that have a certificate' },
  'client-crl-file': { type: 'string', usage: 'certificates of clients that were revoked' },
  'client-cert-allowed-hostname': { type: 'strings', usage: "names of which one must be in a client's certificate" },
  'trusted-ca-file': { type: 'string', usage: "authorities for clients' certificates" },
  'auto-tls': { type: 'bool', usage: 'make a certificate for clients' },
  'peer-cert-file': { type: 'string', usage: 'certificate for other members' },
  'peer-key-file': { type: 'string', usage: 'key of that certificate' },
  'peer-client-cert-auth': { type: 'bool', usage: 'only let members in that have a certificate' },
  'peer-client-cert-file': { type: 'string', usage: 'certificate to show to other members, when it is another one' },
  'peer-client-key-file': { type: 'string', usage: 'key of that certificate' },
  'peer-trusted-ca-file': { type: 'string', usage: "authorities for members' certificates" },
  'peer-cert-allowed-cn': { type: 'strings', usage: "common names of which one must be in a member's certificate" },
  'peer-cert-allowed-hostname': { type: 'strings', usage: "names of which one must be in a member's certificate" },
  'peer-auto-tls': { type: 'bool', usage: 'make a certificate for other members' },
  'peer-crl-file': { type: 'string', usage: 'certificates of members that were revoked' },
  'peer-skip-client-san-verification': { type: 'bool', usage: "don't compare a member's address with its certificate" },
  'self-signed-cert-validity': { type: 'int', default: 1, usage: 'years that certificates made here are valid' },
  'cipher-suites': { type: 'strings', usage: 'TLS 1.2 cipher suites, under their standard names' },
  'tls-min-version': { type: 'string', default: 'TLS1.2', usage: 'TLS1.2 or TLS1.3' },
  'tls-max-version': { type: 'string', usage: 'TLS1.2 or TLS1.3' },
  cors: { type: 'string', default: '*', usage: 'origins of web pages that may ask, comma-separated' },
  'host-whitelist': { type: 'string', default: '*', usage: 'host names under which plain HTTP may be asked, comma-separated' },
  'auth-token': { type: 'string', default: 'simple', usage: "'simple', or 'jwt,sign-method=…,priv-key=…,pub-key=…,ttl=…'" },
  'auth-token-ttl': { type: 'int', default: 300, usage: 'seconds that a simple token lives after its last use' },
  'bcrypt-cost': { type: 'int', default: 10, usage: 'work that checking a password takes, 4 to 31' },
} as const satisfies FlagSpecs

const watchingFlags = {
  metrics: { type: 'string', default: 'basic', usage: "'extensive' adds histograms of calls" },
  'log-level': { type: 'string', default: 'info', usage: 'debug, info, warn, error, panic or fatal' },
  'log-format': { type: 'string', default: 'json', usage: 'json or console' },
  'log-outputs': { type: 'strings', default: ['default'], usage: 'default (stderr), stderr, stdout, or paths of files' },
  'enable-log-rotation': { type: 'bool', usage: 'begin a new log file when the one of --log-outputs is large' },
  'log-rotation-config-json': { type: 'string', default: '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}', usage: 'megabytes, days, old files to keep' },
  'corrupt-check-time': { type: 'duration', usage: "time between comparisons of the members' keys; 0 turns them off" },
  'compact-hash-check-time': { type: 'duration', default: 60_000, usage: 'time between comparisons of compacted history, with the feature CompactHashCheck' },
  'initial-corrupt-check': { type: 'bool', usage: "compare with other members' keys before serving, as --feature-gates=InitialCorruptCheck=true" },
  'watch-progress-notify-interval': { type: 'duration', default: 600_000, usage: 'time between progress notifications of quiet watches' },
} as const satisfies FlagSpecs

/** Connections: how long they may be silent, how many calls they carry. */
const connectionFlags = {
  'max-concurrent-streams': { type: 'int', default: 4_294_967_295, usage: 'calls that a client may have open on a connection, watches included; at most 100000' },
  'grpc-keepalive-min-time': { type: 'duration', default: 5000, usage: 'least time between two pings of a client; one that pings more often is told too_many_pings and cut' },
  'grpc-keepalive-interval': { type: 'duration', default: 7_200_000, usage: 'time without a word of a client after which it is asked whether it is there' },
  'grpc-keepalive-timeout': { type: 'duration', default: 20_000, usage: 'time that it has to answer' },
  'raft-read-timeout': { type: 'duration', default: 5000, usage: 'silence of another member after which its connection is given up; at least 5s' },
  'raft-write-timeout': { type: 'duration', default: 5000, usage: 'time in which another member takes nothing, after which its connection is given up; at least 5s' },
  'discovery-keepalive-time': { type: 'duration', default: 2000, usage: 'discovery service: time between two questions whether it is there' },
  'discovery-keepalive-timeout': { type: 'duration', default: 6000, usage: 'discovery service: time that it has to answer' },
} as const satisfies FlagSpecs

/** What is kept on the disk, and how it is tidied up. */
const storageFlags = {
  'max-snapshots': { type: 'int', default: 5, usage: '.snap files that stay, at least two; 0 is all' },
  'max-wals': { type: 'int', default: 5, usage: 'files of the log that stay, with those that a snapshot made superfluous; 0 is all. A full disk takes the superfluous ones' },
  'compaction-batch-limit': { type: 'int', default: 1000, usage: 'revisions that a compaction goes through between two pauses' },
  'compaction-sleep-interval': { type: 'duration', default: 10, usage: 'length of these pauses' },
  'bootstrap-defrag-threshold-megabytes': { type: 'int', usage: 'write the database anew at the start when that frees so much; 0 is never' },
} as const satisfies FlagSpecs

/** What is told of slow requests and of the process. */
const diagnosticFlags = {
  'warning-apply-duration': { type: 'duration', default: 100, usage: '"apply request took too long" is said of requests that take longer' },
  'warning-unary-request-duration': { type: 'duration', default: 300, usage: '"request stats" is said of calls that take longer' },
  'enable-pprof': { type: 'bool', usage: 'profiles under /debug/pprof/ of the client URLs, for `go tool pprof`' },
  'enable-distributed-tracing': { type: 'bool', usage: 'send spans of gRPC calls to an OpenTelemetry collector' },
  'distributed-tracing-address': { type: 'string', default: 'localhost:4317', usage: 'where the collector listens for OTLP over gRPC' },
  'distributed-tracing-service-name': { type: 'string', default: 'etcd', usage: "the service's name in the spans" },
  'distributed-tracing-instance-id': { type: 'string', usage: "this member's name in the spans" },
  'distributed-tracing-sampling-rate': { type: 'int', usage: 'traces that begin here and are sent, of a million; who calls with a trace of their own decides for it' },
} as const satisfies FlagSpecs

/** Names that are checked, so that a configuration for the original is refused for the same reasons, and that choose between one thing here. */
const checkedFlags = {
  logger: { type: 'string', default: 'zap', usage: "only 'zap'" },
  'discovery-fallback': { type: 'string', default: 'exit', usage: "only 'exit': the proxy of version 2 is gone" },
  'client-cert-file': { type: 'string', usage: 'read, and otherwise not needed: the JSON gateway asks the member itself, without a connection' },
  'client-key-file': { type: 'string', usage: 'key of that certificate' },
} as const satisfies FlagSpecs

/** Flags of the original that can't change anything here, each with its reason. A word is said when one is given. */
export const withoutEffect = {
  'backend-bbolt-freelist-type': { type: 'string', default: 'map', usage: 'no effect: there is no list of free pages, the database is written whole' },
  'backend-batch-interval': { type: 'duration', usage: 'no effect: a write is durable in the log, and nothing waits for the database' },
  'backend-batch-limit': { type: 'int', usage: 'no effect: as --backend-batch-interval' },
  'memory-mlock': { type: 'bool', usage: 'no effect: V8 gives memory back in ways that locked memory does not allow, and ends when it can\'t' },
  'socket-reuse-address': { type: 'bool', usage: 'no effect: sockets that listen have SO_REUSEADDR always, as Go\'s have' },
  'v2-deprecation': { type: 'string', default: 'write-only', usage: 'no effect, as in the original since 3.6: write-only, write-only-skip-check, write-only-drop-data or gone' },
} as const satisfies FlagSpecs

/** Flags of versions before 2.1 that the original still takes and passes over. */
export const ignoredFlags: ReadonlySet<string> = new Set([
  'cluster-active-size', 'cluster-remove-delay', 'cluster-sync-interval', 'config', 'force', 'max-result-buffer', 'max-retry-attempts', 'peer-heartbeat-interval', 'peer-election-timeout', 'retry-interval', 'snapshot', 'v', 'vv',
])

/** What is said when one of these is given. */
export const deprecatedFlags: { readonly [name: string]: string } = {
  'max-snapshots': '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.',
  'v2-deprecation': '--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.',
}

/** Names that flags had before 3.6. */
export const olderNames: { readonly [name: string]: string } = {
  'experimental-initial-corrupt-check': 'initial-corrupt-check', 'experimental-watch-progress-notify-interval': 'watch-progress-notify-interval', 'experimental-corrupt-check-time': 'corrupt-check-time',
  'experimental-compact-hash-check-time': 'compact-hash-check-time', 'experimental-peer-skip-client-san-verification': 'peer-skip-client-san-verification', 'experimental-max-learners': 'max-learners',
  'experimental-snapshot-catchup-entries': 'snapshot-catchup-entries', 'experimental-warning-unary-request-duration': 'warning-unary-request-duration', 'experimental-downgrade-check-time': 'downgrade-check-time',
  'experimental-compaction-batch-limit': 'compaction-batch-limit', 'experimental-compaction-sleep-interval': 'compaction-sleep-interval', 'experimental-warning-apply-duration': 'warning-apply-duration',
  'experimental-bootstrap-defrag-threshold-megabytes': 'bootstrap-defrag-threshold-megabytes', 'experimental-enable-distributed-tracing': 'enable-distributed-tracing',
  'experimental-distributed-tracing-address': 'distributed-tracing-address', 'experimental-distributed-tracing-service-name': 'distributed-tracing-service-name',
  'experimental-distributed-tracing-instance-id': 'distributed-tracing-instance-id', 'experimental-distributed-tracing-sampling-rate': 'distributed-tracing-sampling-rate',
}

export const etcdFlags = { ...memberFlags, ...clusterFlags, ...securityFlags, ...watchingFlags, ...connectionFlags, ...storageFlags, ...diagnosticFlags, ...checkedFlags, ...withoutEffect } as const satisfies FlagSpecs
