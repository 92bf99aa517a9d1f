// The original etcd and ours are given the same wrong flags, files and variables: both refuse, and say the same.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { hasOriginals, originalEtcd, type Run } from './etcd-pair.ts'

const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'k8ts-flags-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function start(kind: 'ours' | 'original', args: readonly string[], environment: { readonly [name: string]: string }): Promise<Run> {
  const [program, ...before] = kind === 'original' ? [originalEtcd] : [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcd']
  const data = mkdtempSync(join(folder, kind))
  return new Promise((done) => {
    execFile(program, [...before, ...args], { cwd: data, timeout: 20_000, env: { PATH: process.env['PATH'] ?? '', ...environment } }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
  })
}

const own = ['--name=a', '--listen-peer-urls=http://127.0.0.1:24180', '--listen-client-urls=http://127.0.0.1:24181', '--advertise-client-urls=http://127.0.0.1:24181']
const cases: readonly (readonly [says: string, args: readonly string[], environment?: { readonly [name: string]: string }])[] = [
  ['--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]', [...own, '--heartbeat-interval=300']],
  ['--election-timeout[60000ms] is too long, and should be set less than 50000ms', [...own], { ETCD_ELECTION_TIMEOUT: '60000' }],
  ['unknown auto-compaction-mode "never"', [...own, '--auto-compaction-mode=never']],
  ['multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"', [...own, '--initial-cluster=a=http://127.0.0.1:24180', '--discovery-srv=example.com']],
  ['both --discovery-token and --discovery-endpoints must be set', [...own, '--discovery-token=t']],
  ['--advertise-client-urls is required when --listen-client-urls is set explicitly', ['--listen-client-urls=http://127.0.0.1:24181']],
  ['expected IP in URL for binding (http://example.com:2379)', ['--listen-client-urls=http://example.com:2379', '--advertise-client-urls=http://example.com:2379']],
  ['min version (TLS1.3) is greater than max version (TLS1.2)', [...own, '--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2']],
  ['v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"', [...own, '--discovery-fallback=proxy']],
  ['invalid value "zz" for flag -discovery-fallback: invalid value', [...own, '--discovery-fallback=zz']],
  ['--logger=capnslog is removed in v3.5', [...own, '--logger=capnslog']],
  ['unknown logger option "none"', [...own], { ETCD_LOGGER: 'none' }],
  ['invalid value "not-yet" for flag -v2-deprecation: invalid value "not-yet"', [...own, '--v2-deprecation=not-yet']],
  ['invalid value "-1" for flag -max-snapshots: parse error', [...own, '--max-snapshots=-1']],
  ['distributed tracing configurition is not valid: (tracing sampling rate must be positive)', [...own, '--enable-distributed-tracing', '--distributed-tracing-sampling-rate=-1']],
  ['distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)', [...own, '--enable-distributed-tracing', '--distributed-tracing-sampling-rate=1000001']],
  [`couldn't find local name "a" in the initial cluster configuration`, [...own, '--initial-cluster=b=http://127.0.0.1:24180']],
  ['--initial-cluster has a=http://127.0.0.1:9 but missing from --initial-advertise-peer-urls=http://127.0.0.1:24180', [...own, '--initial-advertise-peer-urls=http://127.0.0.1:24180', '--initial-cluster=a=http://127.0.0.1:9']],
  ['has duplicate url', [...own, '--initial-advertise-peer-urls=http://127.0.0.1:24180', '--initial-cluster=a=http://127.0.0.1:24180,b=http://127.0.0.1:24180']],
  ['cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
    [...own, '--initial-advertise-peer-urls=http://127.0.0.1:24180', '--initial-cluster=a=http://127.0.0.1:24180,b=http://127.0.0.1:24189', '--initial-cluster-state=existing']],
]

for (const [says, args, environment = {}] of cases) {
  test(`both refuse: ${says.slice(0, 70)}`, { skip: !hasOriginals }, async () => {
    const [theirs, ours] = await Promise.all([start('original', args, environment), start('ours', args, environment)])
    const words = (run: Run): string => (run.out + run.err).replaceAll('\\"', '"')
    assert.ok(words(theirs).includes(says), `the original says otherwise: ${words(theirs).slice(-600)}`)
    assert.ok(words(ours).includes(says), `ours says: ${words(ours)}`)
    assert.notEqual(ours.code, 0)
    assert.notEqual(theirs.code, 0)
  })
}

test('both refuse a configuration file with a value of the wrong kind, and ignore flags beside a file', { skip: !hasOriginals }, async () => {
  const wrong = join(folder, 'wrong.yaml')
  writeFileSync(wrong, 'election-timeout: soon\n')
  for (const kind of ['original', 'ours'] as const) assert.notEqual((await start(kind, ['--config-file', wrong], {})).code, 0, kind)
  const file = join(folder, 'right.yaml')
  writeFileSync(file, 'heartbeat-interval: 400\n')
  const runs = await Promise.all((['original', 'ours'] as const).map((kind) => start(kind, ['--config-file', file, '--heartbeat-interval=10'], { ETCD_HEARTBEAT_INTERVAL: '20' })))
  for (const run of runs) assert.match(run.out + run.err, /--election-timeout\[1000ms\] should be at least as 5 times as --heartbeat-interval\[400ms\]/)
})
