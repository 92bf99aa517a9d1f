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
    // Who ends on purpose hands over: nobody waits for an election.
    const last = await cluster.leader()
    assert.equal(await cluster.end(last, 'SIGTERM'), last.kind === 'ours' ? 0 : null)
    const heir = await cluster.leader()
    assert.notEqual(heir.name, last.name)
    assert.equal(await cluster.ok(['put', 'handed over', 'z'], [heir]), 'OK\n')
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
  const hide = (text: string): string => text.split('\n').filter((line) => !line.startsWith('{"level"')).join('\n').replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS').replaceAll(/"(ClusterID|MemberID|ID)" : \d+/g, '"$1" : N').replaceAll(/"m\d"/g, '"NAME"').replaceAll(/\b[0-9a-f]{9,16}\b/g, 'ID')
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
  await cluster.eventually(async () => { await cluster.ok(['put', 'other', 'v']) })
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

test('with authentication: a token of one member is good at the others, ours and originals; a promotion is forwarded with it', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['original', 'ours', 'ours'], { secure: false })
  for (const args of [['user', 'add', 'root:pw'], ['user', 'grant-role', 'root', 'root'], ['user', 'add', 'bob:pw'], ['auth', 'enable']]) await cluster.ctl(args)
  const ask = async (member: ClusterMemberProcess, path: string, body: object, token?: string): Promise<{ readonly status: number; readonly text: string }> => {
    const answer = await fetch(`${member.clientUrl}${path}`, { method: 'POST', body: JSON.stringify(body), headers: token === undefined ? {} : { authorization: token } })
    return { status: answer.status, text: await answer.text() }
  }
  for (const giver of cluster.members) {
    for (const taker of cluster.members) {
      const given = await ask(giver, '/v3/auth/authenticate', { name: 'root', password: 'pw' })
      const { token } = JSON.parse(given.text) as { token: string }
      assert.ok(token, given.text)
      const take = async (): Promise<void> => {
        const taken = await ask(taker, '/v3/kv/put', { key: 'YQ==', value: 'Yg==' }, token)
        assert.equal(taken.status, 200, `a token of ${giver.kind} at ${taker.kind}: ${taken.text}`)
      }
      // Who has not yet applied what made the token waits for it; the original's names the entry before, which may be one too few.
      if (taker.kind === 'ours' && giver.kind === 'ours') await take()
      else await cluster.eventually(take)
    }
  }
  const leader = await cluster.leader(['--user=root:pw'])
  const fourth = await cluster.plan('m3', 'ours')
  await cluster.eventually(async () => { await cluster.ok(['--user=root:pw', 'member', 'add', 'm3', '--learner', `--peer-urls=${fourth.peerUrl}`]) })
  cluster.run(fourth, ['--initial-cluster', cluster.members.map((member) => `${member.name}=${member.peerUrl}`).join(','), '--initial-cluster-state', 'existing'])
  const id = (await cluster.ok(['--user=root:pw', 'member', 'list'])).split('\n').find((line) => line.includes(fourth.peerUrl))?.split(', ')[0] ?? ''
  const follower = cluster.members.find((member) => member !== leader && member !== fourth && member.kind === 'ours')
  assert.ok(follower)
  assert.match((await cluster.ctl(['--user=bob:pw', 'member', 'promote', id], [follower])).err, /permission denied/)
  await cluster.eventually(async () => { await cluster.ok(['--user=root:pw', 'member', 'promote', id], [follower]) })
})

test('leases and compactions in a mixed cluster, whoever leads and whoever is asked', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['original', 'ours', 'original', 'ours'], { secure: false })
  const [original, ours] = cluster.members
  assert.ok(original && ours)
  for (const leader of [original, ours]) {
    const leads = await cluster.leader()
    if (leads !== leader) await cluster.ok(['move-leader', await cluster.idOf(leader)], [leads, leader])
    const lease = /lease ([0-9a-f]+)/.exec(await cluster.ok(['lease', 'grant', '100'], [ours]))?.[1] ?? ''
    for (const member of cluster.members) {
      const said = `${member.kind} asked, ${leader.kind} leads`
      assert.match(await cluster.ok(['lease', 'keep-alive', '--once', lease], [member]), /keepalived with TTL\(100\)/, said)
      assert.match(await cluster.ok(['lease', 'timetolive', lease], [member]), /granted with TTL\(100s\), remaining\((9\d|100)s\)/, said)
      assert.match(await cluster.ok(['lease', 'timetolive', '123'], [member]), /lease 0000000000000123 already expired/, said)
      assert.match((await cluster.ctl(['lease', 'keep-alive', '--once', '123'], [member])).err, /requested lease not found/, said)
    }
    const short = /lease ([0-9a-f]+)/.exec(await cluster.ok(['lease', 'grant', '3'], [original]))?.[1] ?? ''
    const key = `short under ${leader.kind}`
    await cluster.ok(['put', key, 'v', `--lease=${short}`], [ours])
    await cluster.eventually(async () => { for (const member of cluster.members) assert.equal(await cluster.ok(['get', key, '--consistency=s'], [member]), '') })
    await cluster.fill('compacted', 50, ours)
    const { revision } = (JSON.parse(await cluster.ok(['get', 'x', '-w', 'json'], [leader])) as { header: { revision: number } }).header
    await cluster.ok(['compact', String(revision - 20)], [leader === ours ? original : ours])
    await cluster.equalHashes()
  }
})

test('a cluster of originals becomes ours member by member, data and all, and originals again', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['original', 'original', 'original'])
  await cluster.fill('begun ', 150)
  const lease = /lease ([0-9a-f]+)/.exec(await cluster.ok(['lease', 'grant', '3600']))?.[1] ?? ''
  await cluster.ok(['put', 'leased', 'v', `--lease=${lease}`])
  await cluster.ok(['user', 'add', 'alice:secret'])
  let round = 0
  for (const kind of ['ours', 'original'] as const) {
    for (const member of [...cluster.members]) {
      await cluster.end(member, round % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
      const other = cluster.become(member, kind)
      await cluster.eventually(async () => { await cluster.ok(['put', `while ${member.name} was changed to ${kind}`, 'v']) })
      cluster.run(other)
      await cluster.healthy()
      await cluster.fill(`round ${round} `, 60, other)
      round++
    }
    await cluster.equalHashes()
    assert.match(await cluster.ok(['lease', 'timetolive', lease, '--keys']), /attached keys\(\[leased\]\)/)
    assert.equal(await cluster.ok(['user', 'list']), 'alice\n')
    assert.equal((await cluster.ok(['get', 'begun ', '--prefix', '--count-only', '-w', 'fields'])).includes('"Count" : 150'), true)
    assert.equal((await cluster.ok(['member', 'list'])).trim().split('\n').filter((line) => line.includes('started')).length, 3)
  }
})

test('a cluster grows from one member to three, and shrinks to one by losing its leader twice', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['ours'], { secure: false })
  await cluster.fill('first ', 120)
  for (const kind of ['original', 'ours'] as const) {
    const member = await cluster.plan(`m${cluster.members.length}`, kind)
    await cluster.eventually(async () => { await cluster.ok(['member', 'add', member.name, `--peer-urls=${member.peerUrl}`]) })
    cluster.run(member, ['--initial-cluster', cluster.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(','), '--initial-cluster-state', 'existing'])
    await cluster.healthy()
  }
  await cluster.equalHashes()
  while (cluster.up.length > 1) {
    const leader = await cluster.leader()
    const id = await cluster.idOf(leader)
    const gone = cluster.exit(leader)
    const rest = cluster.up.filter((member) => member !== leader)
    await cluster.eventually(async () => { await cluster.ok(['member', 'remove', id], rest) })
    assert.equal(await gone, 0)
    await cluster.healthy(rest)
    await cluster.ok(['put', 'still', 'here'], rest)
    // Its data are of no use any more: the others do not know it.
    cluster.run(leader)
    const code = await Promise.race([cluster.exit(leader), new Promise<string>((done) => { setTimeout(() => done('runs on'), 15_000).unref() })])
    // The original ends as it comes: sometimes its own listener fails first.
    assert.ok(leader.kind === 'ours' ? code === 0 : typeof code === 'number', `${leader.kind} was removed, and ended with ${code}: ${cluster.logOf(leader).slice(-500)}`)
  }
  const [last] = cluster.up
  assert.ok(last)
  await cluster.end(last, 'SIGKILL')
  cluster.run(last)
  await cluster.healthy()
  assert.match(await cluster.ok(['get', '', '--prefix', '--count-only', '-w', 'fields']), /"Count" : 121/)
  assert.equal((await cluster.ok(['member', 'list'])).trim().split('\n').length, 1)
})

test('corruption checks compare ours with originals: at the start, regularly, at compactions', { skip: !hasOriginals }, async () => {
  await using cluster = await TestCluster.start(['original', 'ours', 'ours'])
  const [original, ours] = cluster.members
  assert.ok(original && ours)
  await cluster.fill('a', 50)
  for (const member of cluster.members) {
    await cluster.end(member, 'SIGTERM')
    cluster.run(member, ['--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true', '--corrupt-check-time=1s', '--compact-hash-check-time=1s'])
    await cluster.healthy()
    assert.match(cluster.logOf(member), /initial corruption checking passed; no corruption/)
  }
  for (const leader of [original, ours]) {
    const leads = await cluster.leader()
    if (leads !== leader) await cluster.ok(['move-leader', await cluster.idOf(leader)], [leads, leader])
    await cluster.fill('b', 20)
    const { revision } = (JSON.parse(await cluster.ok(['get', 'x', '-w', 'json'])) as { header: { revision: number } }).header
    await cluster.ok(['compact', String(revision - 3)])
    await cluster.eventually(() => {
      assert.match(cluster.logOf(leader), leader.kind === 'ours' ? new RegExp(`finished compaction hash check","revision":${revision - 3},"isWhole":true`) : new RegExp(`successfully checked hash on whole cluster.*"revision":${revision - 3}`))
      assert.match(cluster.logOf(leader), leader.kind === 'ours' ? /finished peer corruption check","compared":2/ : /finished peer corruption check","number-of-peers-checked":2/)
      return Promise.resolve()
    })
  }
  assert.equal(await cluster.ok(['alarm', 'list']), '')
})
