import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { execFileSync, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { switchFeatures } from '../../control-plane/etcd/features.ts'
import { recordingLogger } from '../../lib/testing/recording-logger.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { parseFlags } from '../../lib/component-base/flags.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { formatUnit, quote } from '../unit.ts'
import { notifySystemd, socketAddress } from '../notify-systemd.ts'
import { advertiseDefaultHost } from './advertise-default-host.ts'
import { checkSettings, readFeatures, type EtcdSettings } from './check-settings.ts'
import { createEtcdLogger, LogFile, readRotation } from './etcd-logger.ts'
import { etcdFlags, withoutEffect } from './flag-specs.ts'
import { listenPlace } from './listen-address.ts'
import { localAddressOf, memberOptionsOf, peerTimeoutsOf, serverOptionsOf } from './member-options.ts'
import { readArguments } from './read-arguments.ts'
import { loadClientTls, openSslName } from './tls-files.ts'

const noFile = (path: string): string => { throw new Error(`no ${path}`) }
const settingsOf = (args: readonly string[], environment: { readonly [name: string]: string } = {}, readFile = noFile): EtcdSettings => parseFlags(etcdFlags, readArguments(args, environment, readFile).args).flags
const fromFile = (text: string, args: readonly string[] = [], environment = {}): EtcdSettings => settingsOf(['--config-file', 'c.yaml', ...args], environment, () => text)

test('variables stand for flags that are not given; one dash will do; older names go on', () => {
  const flags = settingsOf(['-name=a', '--experimental-max-learners=3'], { ETCD_NAME: 'b', ETCD_DATA_DIR: '/d', ETCD_INITIAL_CLUSTER: 'a=http://a:1,b=http://b:1', ETCD_UNKNOWN: 'x', ETCD_WAL_DIR: '' })
  assert.deepEqual([flags.name, flags['data-dir'], flags['initial-cluster'], flags['max-learners']], ['a', '/d', 'a=http://a:1,b=http://b:1', 3])
  const { warnings } = readArguments(['--name', 'a'], { ETCD_NAME: 'b', ETCD_UNKNOWN: 'x' }, noFile)
  assert.deepEqual(warnings, ['recognized environment variable ETCD_NAME, but unused: shadowed by corresponding flag', 'unrecognized environment variable ETCD_UNKNOWN'])
})

test('a configuration file makes flags and variables moot, and holds what flags have in sections', () => {
  const flags = fromFile(`
name: from-file
listen-client-urls: https://10.0.0.1:2379,https://127.0.0.1:2379
election-timeout: 2000
watch-progress-notify-interval: 5000000000
log-outputs: [stderr, /tmp/x.log]
cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
strict-reconfig-check: false
unknown-key: 5
client-transport-security: {cert-file: /c.crt, key-file: /c.key, client-cert-auth: true, trusted-ca-file: /ca, allowed-cn: [x, y], allowed-hostname: [h]}
peer-transport-security:
  cert-file: /p.crt
  client-cert-auth: true
  allowed-cn: [peer]
  auto-tls: true
discovery-config: {token: t, endpoints: ["http://d:1"], dial-timeout: 1000000000, keepalive-time: 30000000000, secure: {cacert: /dca, insecure-transport: false}, auth: {username: u}}
socket-options: {reuse-port: true}
`, ['--name=flag', '--max-txn-ops=7'], { ETCD_MAX_LEARNERS: '9' })
  assert.deepEqual([flags.name, flags['max-txn-ops'], flags['max-learners'], flags['election-timeout'], flags['watch-progress-notify-interval'], flags['strict-reconfig-check']], ['from-file', 128, 1, 2000, 5000, false])
  assert.deepEqual([flags['listen-client-urls'], flags['log-outputs'], flags['cipher-suites']], [['https://10.0.0.1:2379', 'https://127.0.0.1:2379'], ['stderr', '/tmp/x.log'], ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256']])
  assert.deepEqual([flags['cert-file'], flags['client-cert-auth'], flags['client-cert-allowed-hostname'], flags['peer-cert-file'], flags['peer-client-cert-auth'], flags['peer-cert-allowed-cn'], flags['peer-auto-tls']],
    ['/c.crt', true, ['h'], '/p.crt', true, ['peer'], true])
  assert.deepEqual([flags['discovery-token'], flags['discovery-endpoints'], flags['discovery-dial-timeout'], flags['discovery-cacert'], flags['discovery-insecure-transport'], flags['discovery-user'], flags['socket-reuse-port'], flags['discovery-keepalive-time']],
    ['t', ['http://d:1'], 1000, '/dca', false, 'u', true, 30_000])
  assert.deepEqual(readArguments(['--config-file=c'], {}, () => 'client-transport-security: {allowed-cn: [x]}').clientAllowedCns, ['x'])
  assert.equal(settingsOf([], { ETCD_CONFIG_FILE: 'c' }, () => 'name: by-variable').name, 'by-variable')
})

test('a value of the wrong kind in the file is refused', () => {
  for (const text of ['election-timeout: soon', 'watch-progress-notify-interval: 10m', 'strict-reconfig-check: 1', 'client-transport-security: yes', '- a', 'log-outputs: [1]', 'name: {a: b}', 'a: [']) {
    assert.throws(() => fromFile(text), { name: 'FlagError' }, text)
  }
  assert.equal(fromFile('cert-file: /x')['cert-file'], '', 'certificates belong into their section')
  assert.throws(() => settingsOf(['--config-file', 'gone'], {}, noFile), { name: 'FlagError' })
})

test('contradictions are refused in the original words', () => {
  const refusal = (...args: readonly string[]): string => {
    const parsed = parseFlags(etcdFlags, args)
    try { checkSettings(parsed.flags, parsed.given); readFeatures(parsed.flags) } catch (error) { return error instanceof Error ? error.message : '' }
    return ''
  }
  assert.equal(refusal(), '')
  assert.equal(refusal('--initial-cluster-state=old'), 'unexpected clusterState "old"')
  assert.equal(refusal('--heartbeat-interval=300'), '--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]')
  assert.equal(refusal('--listen-client-urls=http://example.com:1'), 'expected IP in URL for binding (http://example.com:1)')
  assert.match(refusal('--initial-cluster=a=http://a:1', '--discovery-srv=x'), /^multiple discovery or bootstrap flags are set/)
  assert.equal(refusal('--discovery-token=x'), 'both --discovery-token and --discovery-endpoints must be set')
  assert.equal(refusal('--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'), 'min version (TLS1.3) is greater than max version (TLS1.2)')
  assert.equal(refusal('--feature-gates=Nonsense=true'), 'unrecognized feature gate: Nonsense')
  assert.equal(refusal('--feature-gates=LeaseCheckpointPersist=true'), 'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint')
  assert.deepEqual(readFeatures(parseFlags(etcdFlags, ['--feature-gates=AllAlpha=true,CompactHashCheck=false']).flags), {
    AllAlpha: true, AllBeta: false, CompactHashCheck: false, FastLeaseKeepAlive: true, InitialCorruptCheck: true, LeaseCheckpoint: true, LeaseCheckpointPersist: true, PriorityRequest: true, SetMemberLocalAddr: true, StopGRPCServiceOnDefrag: true,
    TxnModeWriteWithSharedBuffer: true,
  })
})

test('flags of long ago are passed over with a word, and what is deprecated is told of', () => {
  const { args, warnings } = readArguments(['-v', '--force=true', '--name', 'a', '--snapshot-count=5'], {}, noFile)
  assert.deepEqual([args, warnings], [['--name', 'a', '--snapshot-count=5'], ['flag "-v" is no longer supported - ignoring.', 'flag "-force" is no longer supported - ignoring.']])
  // The second discovery service and its proxy are gone from the original, too.
  for (const gone of ['--discovery=x', '--discovery-proxy=x']) assert.throws(() => settingsOf([gone]), { message: /^unknown flag/ })
  assert.deepEqual(readArguments([], { ETCD_DISCOVERY: 'x' }, noFile).warnings, ['unrecognized environment variable ETCD_DISCOVERY'])
  for (const [name, { usage }] of Object.entries(withoutEffect)) assert.match(usage, /^no effect.*[:,] .{10}/, `--${name} says why`)
})

test('what members and servers are told of the flags', () => {
  const { logger, lines } = recordingLogger()
  assert.deepEqual(peerTimeoutsOf(settingsOf(['--raft-read-timeout=1s', '--raft-write-timeout=7s']), logger), { readMs: 5000, writeMs: 7000 })
  assert.deepEqual(lines.map(({ message }) => message), ['raft-read-timeout increased to minimum value: 5s'])
  const member = memberOptionsOf(settingsOf(['--max-wals=0', '--max-snapshots=3', '--compaction-batch-limit=10', '--compaction-sleep-interval=2s', '--bootstrap-defrag-threshold-megabytes=2', '--warning-apply-duration=1s', '--downgrade-check-time=0']), switchFeatures())
  assert.deepEqual([member.maxWals, member.maxSnapshots, member.compactionPace, member.bootstrapDefragmentBytes, member.warningApplyMs, member.downgradeCheckMs], [0, 3, { batchRevisions: 10, pauseMs: 2000 }, 2 * 1024 * 1024, 1000, 0])
  const servers = serverOptionsOf(settingsOf(['--max-concurrent-streams=7', '--grpc-keepalive-min-time=1s', '--grpc-keepalive-timeout=0', '--log-level=debug']))
  assert.deepEqual([servers.maxConcurrentStreams, servers.keepAlive, servers.requestWarnings], [7, { minPingIntervalMs: 1000 }, { unaryMs: 300, applyMs: 100, tellsAll: true }])
  assert.deepEqual(serverOptionsOf(settingsOf([])).keepAlive, { minPingIntervalMs: 5000, intervalMs: 7_200_000, timeoutMs: 20_000 })
})

test('SetMemberLocalAddr: the first advertised address that is one, and not loopback', () => {
  const urls = '--initial-advertise-peer-urls=http://name:1,http://127.0.0.1:1,http://10.1.2.3:1,http://10.9.9.9:1'
  const on = switchFeatures(new Map([['SetMemberLocalAddr', true]]))
  assert.equal(localAddressOf(settingsOf([urls]), on, silentLogger), '10.1.2.3')
  assert.equal(localAddressOf(settingsOf([urls]), switchFeatures(), silentLogger), undefined)
  assert.equal(localAddressOf(settingsOf([]), on, silentLogger), undefined)
})

test('a certificate for asking oneself comes with its key', async () => {
  const flags = settingsOf(['--cert-file=/c', '--key-file=/k', '--client-cert-file=/x'])
  await assert.rejects(loadClientTls(flags, '/d', [], silentLogger), { message: 'ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: /x]' })
})

test('listen URLs: addresses, ports, unix sockets', () => {
  assert.deepEqual(listenPlace('https://[::1]:2379', false), { url: 'https://[::1]:2379', address: { host: '::1', port: 2379 }, secure: true })
  assert.deepEqual(listenPlace('unix:///run/etcd.sock', false), { url: 'unix:///run/etcd.sock', address: { path: '/run/etcd.sock' }, secure: false })
  assert.deepEqual(listenPlace('http://0.0.0.0:80', true).address, { host: '0.0.0.0', port: 80, reusePort: true })
  assert.equal(openSslName('TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'), 'ECDHE-ECDSA-AES256-GCM-SHA384')
  assert.throws(() => openSslName('TLS_NONE'), { name: 'FlagError' })
})

test('who listens everywhere and says nothing is reached under its own address', () => {
  const advertised = (...args: readonly string[]): readonly (readonly string[])[] => {
    const flags = advertiseDefaultHost(settingsOf(args), '10.1.2.3')
    return [flags['initial-advertise-peer-urls'], flags['advertise-client-urls']]
  }
  assert.deepEqual(advertised(), [['http://localhost:2380'], ['http://localhost:2379']])
  assert.deepEqual(advertised('--listen-peer-urls=http://0.0.0.0:7', '--listen-client-urls=http://0.0.0.0:8'), [['http://10.1.2.3:7'], ['http://10.1.2.3:8']])
  assert.deepEqual(advertised('--listen-peer-urls=http://0.0.0.0:7', '--initial-advertise-peer-urls=http://me:7')[0], ['http://me:7'])
})

test('logs: JSON and console, levels, files that are renamed when they are full', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-log-'))
  try {
    const clock = new SimulatedClock()
    const path = join(folder, 'etcd.log')
    const base = { 'log-outputs': [path], 'enable-log-rotation': false, 'log-rotation-config-json': '{}' }
    {
      using log = createEtcdLogger({ ...base, 'log-level': 'info', 'log-format': 'json' }, clock)
      log.logger.info('hidden', {}, 2)
      log.logger.named('peer').info('shown', { id: 255n })
      log.logger.error('failed', new Error('outer', { cause: new Error('inner') }))
    }
    const lines = readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { [key: string]: unknown })
    assert.deepEqual(lines.map(({ ts: _, ...rest }) => rest), [{ level: 'info', logger: 'peer', msg: 'shown', id: 'ff' }, { level: 'error', msg: 'failed', error: 'outer: inner' }])
    {
      using log = createEtcdLogger({ ...base, 'log-level': 'error', 'log-format': 'console' }, clock)
      log.logger.warn('not this')
      log.logger.error('this', new Error('x'))
    }
    assert.match(readFileSync(path, 'utf8'), /\terror\tthis\t\{"error":"x"\}\n$/)
    assert.doesNotMatch(readFileSync(path, 'utf8'), /not this/)
    using file = new LogFile(path, { ...readRotation('{"maxbackups": 1}'), maxBytes: 100 }, clock)
    for (let i = 0; i < 5; i++) { await clock.advance(1000); file.write(`${'x'.repeat(60)}\n`) }
    assert.equal(readdirSync(folder).length, 2, 'the file and one old one')
    assert.ok(statSync(path).size <= 100)
    assert.throws(() => readRotation('5'), { name: 'FlagError' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('units: words as systemd reads them', () => {
  assert.deepEqual(['a=b', 'a b', '50%', '$HOME', 'a"b', ''].map(quote), ['a=b', '"a b"', '50%%', '$$HOME', '"a\\"b"', '""'])
  const unit = formatUnit('etcd', ['--name=a'], ['/usr/bin/k8ts', 'etcd'], '/')
  for (const line of ['Type=notify', 'Restart=on-failure', 'LimitNOFILE=65536', 'WantedBy=multi-user.target']) assert.ok(unit.includes(`\n${line}\n`), line)
  assert.match(unit, /ExecStart=\/usr\/bin\/k8ts \\\n {2}etcd \\\n {2}--name=a\n/)
  assert.throws(() => formatUnit('kubectl', [], [], '/'), /is no service/)
})

test('systemd is told through its socket', async () => {
  assert.deepEqual([...socketAddress('@x')], [1, 0, 0, 0x78])
  assert.equal(await notifySystemd('READY=1', {}, silentLogger), false)
  assert.equal(await notifySystemd('READY=1', { NOTIFY_SOCKET: '/nowhere/at/all' }, silentLogger), false, 'a failure is not fatal')
  // Nothing in Node receives unix datagrams; Python does.
  try { execFileSync('python3', ['--version']) } catch { return }
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-notify-'))
  try {
    const path = join(folder, 's')
    const child = spawn('python3', ['-c', `import socket\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(${JSON.stringify(path)})\ns.settimeout(10)\nprint("bound",flush=True)\nprint(s.recv(100).decode(),flush=True)`])
    const seen: string[] = []
    child.stdout.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
    await new Promise<void>((done) => { child.stdout.once('data', () => done()) })
    assert.equal(await notifySystemd('READY=1', { NOTIFY_SOCKET: path }, silentLogger), true)
    await new Promise<void>((done) => { child.once('exit', () => done()) })
    assert.equal(seen.join(''), 'bound\nREADY=1\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
