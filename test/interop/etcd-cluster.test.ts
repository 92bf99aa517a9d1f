// Row E7: members of a cluster are processes with TLS for clients and between each other; the original etcdctl administers them. The same scenes
// are played by three of ours, by three originals (which shows that the scenes are right), and by mixed clusters.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import { TestCluster, type ClusterMemberProcess, type Kind } from './etcd-cluster.ts'
import { hasOriginals } from './etcd-pair.ts'

const casts: readonly (readonly [name: string, kinds: readonly Kind[], joining: Kind])[] = [
  ['three of ours', ['ours', 'ours', 'ours'], 'ours'],
  ['two originals and ours', ['original', 'original', 'ours'], 'ours'],
  ['two of ours and an original', ['ours', 'ours', 'original'], 'original'],
  ['three originals', ['original', 'original', 'original'], 'original'],
]

for (const [cast, kinds, joining] of casts) {
  test(`${cast}: writes go on when a member or the leader is killed, and who comes back catches up`, { skip: !hasOriginals }, async () => {
    await using cluster = await TestCluster.start(kinds)
    const [first, second, third] = cluster.members
    assert.ok(first && second && third)
    assert.equal(await cluster.ok(['put', 'a', '1'], [first]), 'OK\n')
    for (const member of cluster.members) assert.equal(await cluster.ok(['get', 'a', '--print-value-only'], [member]), '1\n', `${member.name} reads what ${first.name} wrote`)
    const statuses = await cluster.statuses()
    assert.equal(new Set(statuses.map(({ leader }) => leader)).size, 1)
    assert.equal((await cluster.ok(['endpoint', 'status', '--cluster'], [second])).trim().split('\n').length, 3)

    const leader = await cluster.leader()
    const follower = cluster.members.find((member) => member !== leader)
    assert.ok(follower)
    await cluster.end(follower, 'SIGKILL')
    // So many that it needs the whole state, not the log's end.
    await cluster.fill('many', 300)
    await cluster.ok(['put', 'while-follower-down', 'x'])
    cluster.run(follower)
    await cluster.healthy()
    assert.equal(await cluster.ok(['get', 'while-follower-down', '--consistency=s', '--print-value-only'], [follower]), 'x\n', 'it has caught up')
    await cluster.equalHashes()

    await cluster.end(leader, 'SIGKILL')
    await cluster.eventually(async () => { await cluster.ok(['put', 'while-leader-down', 'y', '--command-timeout=2s']) })
    await cluster.fill('more', 300)
    assert.notEqual((await cluster.leader()).name, leader.name)
    cluster.run(leader)
    await cluster.healthy()
    await cluster.eventually(async () => { assert.equal(await cluster.ok(['get', 'while-leader-down', '--consistency=s', '--print-value-only'], [leader]), 'y\n') })
    await cluster.equalHashes()
  })

  test(`${cast}: a learner joins, is promoted and leads; members are updated and removed`, { skip: !hasOriginals }, async () => {
    await using cluster = await TestCluster.start(kinds)
    const [first] = cluster.members
    assert.ok(first)
    for (let i = 0; i < 20; i++) await cluster.ok(['put', `k${i}`, 'v'.repeat(1000)])
    // The strict check wants everybody to have been connected for five seconds.
    const fourth = await cluster.plan('m3', joining)
    await cluster.eventually(async () => { await cluster.ok(['member', 'add', 'm3', '--learner', `--peer-urls=${fourth.peerUrl}`]) })
    const fourthId = await cluster.idOf(fourth)
    assert.match(await cluster.ok(['member', 'list']), new RegExp(`${fourthId}, unstarted, , ${fourth.peerUrl}, , true`))
    const early = await cluster.ctl(['member', 'promote', fourthId])
    assert.match(early.err, /can only promote a learner member which is in sync with leader/)
    const again = await cluster.ctl(['member', 'add', 'm3', '--learner', `--peer-urls=${fourth.peerUrl}`])
    // The id comes from the URLs and the second.
    assert.match(again.err, /Peer URLs already exists|member ID already exist/)
    const another = await cluster.ctl(['member', 'add', 'm4', '--learner', '--peer-urls=http://127.0.0.1:1'])
    assert.match(another.err, /too many learner members in cluster/)

    cluster.run(fourth, ['--initial-cluster', cluster.members.map((member) => `${member.name}=${member.peerUrl}`).join(','), '--initial-cluster-state', 'existing'])
    await cluster.eventually(async () => { assert.equal((await cluster.statuses([fourth]))[0]?.isLearner, true) })
    assert.match((await cluster.ctl(['put', 'a', 'b'], [fourth])).err, /rpc not supported for learner/)
    await cluster.eventually(async () => { assert.equal(await cluster.ok(['get', 'k19', '--consistency=s', '--keys-only'], [fourth]), 'k19\n\n', 'a learner answers what need not be the newest') })
    // Asked of whom does not matter: who does not lead asks the leader.
    await cluster.eventually(async () => { await cluster.ok(['member', 'promote', fourthId], [first]) })
    await cluster.healthy()
    assert.match((await cluster.ctl(['member', 'promote', fourthId], [first])).err, /can only promote a learner member/)

    const leader = await cluster.leader()
    const refused = await cluster.ctl(['move-leader', fourthId], [fourth])
    assert.match(refused.err, /no leader endpoint given at/)
    await cluster.ok(['move-leader', fourthId], [leader, fourth])
    assert.equal((await cluster.leader()).name, fourth.name)
    assert.equal(await cluster.ok(['put', 'led by the new one', '1']), 'OK\n')

    const elsewhere = fourth.peerUrl.replace('127.0.0.1', 'localhost')
    await cluster.ok(['member', 'update', fourthId, `--peer-urls=${elsewhere}`])
    assert.match(await cluster.ok(['member', 'list']), new RegExp(`${fourthId}, started, m3, ${elsewhere}`))

    const firstId = await cluster.idOf(first)
    const ended = cluster.exit(first)
    await cluster.eventually(async () => { await cluster.ok(['member', 'remove', firstId], [fourth]) })
    assert.equal(await ended, 0, 'who is removed ends')
    assert.equal((await cluster.ok(['member', 'list'])).trim().split('\n').length, 3)
    assert.match((await cluster.ctl(['member', 'remove', firstId])).err, /member not found/)
    await cluster.equalHashes()
  })
}

test('whole states go both ways between ours and originals: keys, leases, users', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['original', 'ours', 'original'])
  const [original, ours] = cluster.members
  assert.ok(original && ours)
  const lease = /lease ([0-9a-f]+)/.exec(await cluster.ok(['lease', 'grant', '3600']))?.[1]
  assert.ok(lease)
  await cluster.ok(['put', 'leased', 'v', `--lease=${lease}`])
  await cluster.ok(['user', 'add', 'alice:secret'])
  await cluster.ok(['role', 'add', 'reader'])
  await cluster.ok(['role', 'grant-permission', 'reader', 'read', 'a', 'b'])
  await cluster.ok(['user', 'grant-role', 'alice', 'reader'])
  for (const [leader, behind] of [[original, ours], [ours, original]] as const) {
    const leads = await cluster.leader()
    if (leads !== leader) await cluster.ok(['move-leader', await cluster.idOf(leader)], [leads, leader])
    await cluster.end(behind, 'SIGKILL')
    await cluster.fill(`while ${behind.kind} was down `, 300, leader)
    await cluster.ok(['del', `while ${behind.kind} was down 1`, '--prefix'], [leader])
    const { revision } = (JSON.parse(await cluster.ok(['get', 'leased', '-w', 'json'], [leader])) as { header: { revision: number } }).header
    if (leader === ours) await cluster.ok(['compact', String(revision - 10)], [leader])
    cluster.run(behind)
    await cluster.healthy()
    assert.match(cluster.logOf(behind), behind.kind === 'ours' ? /took the state that the leader sent/ : /applied snapshot/, `${behind.kind} got the state, not the log`)
    await cluster.equalHashes()
    assert.match(await cluster.ok(['lease', 'timetolive', lease, '--keys'], [behind]), /granted with TTL\(3600s\), remaining\(3[56]\d\ds\), attached keys\(\[leased\]\)/)
    assert.equal(await cluster.ok(['user', 'get', 'alice'], [behind]), 'User: alice\nRoles: reader\n')
    assert.match(await cluster.ok(['role', 'get', 'reader'], [behind]), /\[a, b\)/)
  }
})

/** Both clusters are asked the same; what is said has to be the same but for ids and addresses. */
async function administer(kind: Kind): Promise<readonly string[]> {
  await using cluster = await TestCluster.start([kind, kind, kind], { secure: false })
  const [first, second, third] = cluster.members
  assert.ok(first && second && third)
  const said: string[] = []
  const hide = (text: string): string => text.split('\n').filter((line) => !line.startsWith('{"level"')).join('\n').replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS').replaceAll(/"(ClusterID|MemberID|ID)" : \d+/g, '"$1" : N').replaceAll(/\b[0-9a-f]{15,16}\b/g, 'ID')
  const say = async (args: readonly string[], members?: readonly ClusterMemberProcess[]): Promise<void> => {
    const run = await cluster.ctl(args, members)
    said.push(`${hide(args.join(' '))}: ${run.code} ${hide(run.out)}${hide(run.err)}`)
  }
  for (const version of ['3.6', '3.5', '3', '3.6.0-rc', 'x']) await say(['downgrade', 'validate', version])
  await say(['downgrade', 'cancel'])
  await say(['downgrade', 'enable', '3.6'])
  await say(['downgrade', 'enable', '3.6'])
  const versions = async (): Promise<string> => (await fetch(`${first.clientUrl}/version`)).text()
  await cluster.eventually(async () => { assert.match(await versions(), /"etcdcluster":"3.6.0","storage":"3.6.0"/) })
  await say(['downgrade', 'cancel'])
  await cluster.eventually(async () => { assert.match(await versions(), /"etcdcluster":"3.7.0","storage":"3.7.0"/) })
  for (const args of [['promote', '1234'], ['remove', '1234'], ['update', '1234', '--peer-urls=http://127.0.0.1:1'], ['list', '-w', 'fields']]) await say(['member', ...args])
  await say(['move-leader', '1234'])
  await say(['member', 'promote', await cluster.idOf(first)])
  // A command that is refused changes nothing, also when all are asked.
  assert.equal((await cluster.ok(['member', 'list'])).trim().split('\n').length, 3)
  await cluster.ok(['put', 'k', 'v'])
  // Who has lost its data must not begin anew: it might vote twice.
  await cluster.end(third, 'SIGKILL')
  rmSync(third.dataDir, { recursive: true })
  cluster.run(third, ['--initial-cluster', cluster.members.map((member) => `${member.name}=${member.peerUrl}`).join(','), '--initial-cluster-state', 'new', '--initial-cluster-token', 'test'])
  assert.notEqual(await cluster.exit(third), 0)
  said.push(String(/member [0-9a-f]+ has already been bootstrapped/.exec(cluster.logOf(third))?.[0].replace(/[0-9a-f]{8,16}/, 'ID')))
  const watch = cluster.ctl(['watch', 'k'], [first])
  await cluster.ok(['put', 'other', 'v'])
  await cluster.end(second, 'SIGKILL')
  // Without a majority: what waits gives up, and says why.
  await Promise.all([
    say(['get', 'k', '--consistency=s'], [first]),
    cluster.ctl(['put', 'k', 'w', '--command-timeout=15s'], [first]).then((run) => said.push(`put ${run.code} ${hide(run.err)}`)),
    watch.then((run) => said.push(`watch ${run.code} ${run.out}${hide(run.err)}`)),
  ])
  await say(['member', 'list', '--command-timeout=2s'], [first])
  assert.match(await cluster.ok(['endpoint', 'status'], [first]), /etcdserver: no leader/)
  const health = await fetch(`${first.clientUrl}/health`)
  said.push(`${health.status} ${await health.text()}`)
  return said.sort()
}

test('administration says the same everywhere, with a majority and without', { skip: !hasOriginals }, async () => {
  assert.deepEqual(await administer('ours'), await administer('original'))
})
