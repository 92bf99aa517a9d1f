import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { clusterIdOf, memberIdOf } from '../member-identity.ts'
import type { ConfChange } from '../raft/conf-change.ts'
import type { ClusterMember } from './cluster-member.ts'
import { checkDowngradeTarget, decideClusterVersion, isDowngradeDone, refuseJoin } from './cluster-version.ts'
import { decodeMemberChange, decodeMembers, encodeMember, encodeMembers, encodePromotion, MemberJsonError } from './member-json.ts'
import { MembershipStore, type MembershipProposal } from './membership-store.ts'
import { parseInitialCluster, parseMemberUrl } from './parse-urls.ts'
import { checkNotBootstrapped, planJoin, planNewCluster, sameTexts, type BootstrapSettings } from './plan-bootstrap.ts'
import type { ReconfigurationView } from './reconfiguration-checks.ts'

const member = (id: bigint, more: Partial<ClusterMember> = {}): ClusterMember => ({ id, name: `m${id}`, peerUrls: [`http://10.0.0.${id}:2380`], clientUrls: [], isLearner: false, ...more })
const everybody: ReconfigurationView = { isStrict: true, selfId: 1n, nowMs: 100_000, activeSinceMs: () => 0 }
const nobody: ReconfigurationView = { ...everybody, activeSinceMs: () => undefined }

function storeOf(...members: readonly ClusterMember[]): MembershipStore {
  const store = new MembershipStore()
  store.restore({ members: members.map((m) => [m.id.toString(16), encodeMember(m)] as const), members_removed: [], cluster: [] })
  return store
}

const apply = (store: MembershipStore, proposal: MembershipProposal): void => store.applyConfChange({ ...proposal, id: 1n })
const refused = (message: string) => (error: unknown): boolean => error instanceof EtcdError && error.message === `etcdserver: ${message}`

test('ids are the original ones', () => {
  // From the original's own documentation of a local cluster of three.
  const ids = ['http://127.0.0.1:12380', 'http://127.0.0.1:22380', 'http://127.0.0.1:32380'].map((url) => memberIdOf([url], 'etcd-cluster-1'))
  assert.deepEqual(ids.map((id) => id.toString(16)), ['8211f1d0f64f3269', '91bc3c398fb3c146', 'fd422379fda50e48'])
  assert.equal(clusterIdOf([...ids].reverse()).toString(16), 'ef37ad9dc622a7c4')
  assert.equal(memberIdOf(['http://localhost:2380'], 'etcd-cluster').toString(16), '8e9e05c52164694d')
  assert.notEqual(memberIdOf(['http://a:1'], '', 5), memberIdOf(['http://a:1'], '', 6))
})

test('members in JSON: big ids, the order of fields, what is left out, what Go escapes', () => {
  const big = member(0xfd422379fda50e48n, { name: 'a<b', isLearner: true, clientUrls: ['http://c:1'] })
  assert.equal(encodeMember(big), '{"id":18249187646912138824,"peerURLs":["http://10.0.0.18249187646912138824:2380"],"isLearner":true,"name":"a\\u003cb","clientURLs":["http://c:1"]}')
  assert.equal(encodeMember(member(1n, { name: '' })), '{"id":1,"peerURLs":["http://10.0.0.1:2380"]}')
  assert.deepEqual(decodeMembers(encodeMembers([big, member(2n)])), [big, member(2n)])
  const tricky = member(3n, { name: 'x","id":7,"y' })
  assert.deepEqual(decodeMembers(encodeMembers([tricky])), [tricky])
  assert.deepEqual(decodeMemberChange(encodePromotion(2n ** 64n - 1n)), { member: { id: 2n ** 64n - 1n, name: '', peerUrls: [], clientUrls: [], isLearner: false }, isPromote: true })
  for (const bad of ['', '[1]', '{"id":-1}', '{"id":18446744073709551616}', '{"id":1,"name":5}', '{"id":1,"peerURLs":"x"}']) assert.throws(() => decodeMemberChange(bad), MemberJsonError)
})

test('adds, updates, promotes and removes; a removed id never returns', () => {
  const store = storeOf(member(1n), member(2n), member(3n))
  apply(store, store.checkAdd(member(4n, { name: '', isLearner: true }), everybody))
  assert.equal(store.isLearner(4n), true)
  assert.throws(() => store.checkAdd(member(5n, { isLearner: true }), everybody), refused('too many learner members in cluster'))
  store.setAttributes(4n, 'four', ['http://c:2379'])
  apply(store, store.checkPromote(4n, { learnerMatch: 90, leaderMatch: 100 }, everybody))
  assert.deepEqual(store.members.get(4n), member(4n, { name: 'four', clientUrls: ['http://c:2379'] }))
  apply(store, store.checkUpdate(4n, ['http://other:2380']))
  assert.deepEqual(store.members.get(4n)?.peerUrls, ['http://other:2380'])
  assert.equal(store.members.get(4n)?.name, 'four', 'an update changes nothing but URLs')
  apply(store, store.checkRemove(4n, everybody))
  assert.deepEqual([...store.removed], [4n])
  for (const again of [() => store.checkAdd(member(4n), everybody), () => store.checkUpdate(4n, []), () => store.checkRemove(4n, everybody)]) assert.throws(again, refused('member not found'))
  store.setAttributes(4n, 'late', [])
  assert.equal(store.members.has(4n), false)
})

test('what is refused when a change is applied changes nothing', () => {
  const store = storeOf(member(1n), member(2n))
  const before = store.image()
  const change = (type: ConfChange['type'], id: bigint, text: string): ConfChange => ({ id: 1n, type, nodeId: id, context: Buffer.from(text) })
  assert.throws(() => store.applyConfChange(change('ConfChangeAddNode', 2n, encodeMember(member(2n)))), refused('member ID already exist'))
  assert.throws(() => store.applyConfChange(change('ConfChangeAddNode', 3n, encodeMember(member(3n, { peerUrls: ['http://10.0.0.1:2380'] })))), refused('Peer URLs already exists'))
  assert.throws(() => store.applyConfChange(change('ConfChangeUpdateNode', 2n, encodeMember(member(2n, { peerUrls: ['http://10.0.0.1:2380'] })))), refused('Peer URLs already exists'))
  assert.throws(() => store.applyConfChange(change('ConfChangeRemoveNode', 9n, '')), refused('member not found'))
  assert.throws(() => store.applyConfChange(change('ConfChangeAddNode', 2n, encodePromotion(2n))), refused('can only promote a learner member'))
  assert.throws(() => store.applyConfChange(change('ConfChangeAddNode', 9n, encodePromotion(9n))), refused('member not found'))
  assert.throws(() => store.applyConfChange(change('ConfChangeAddNode', 9n, encodeMember(member(8n)))), MemberJsonError)
  assert.deepEqual(store.image(), before)
})

test('the strict check keeps a majority of started and connected members', () => {
  const unstarted = storeOf(member(1n), member(2n), member(3n, { name: '' }))
  assert.throws(() => unstarted.checkAdd(member(4n), everybody), refused('re-configuration failed due to not enough started members'), '2 of 4')
  assert.throws(() => unstarted.checkRemove(2n, everybody), refused('re-configuration failed due to not enough started members'), '1 of 2')
  assert.doesNotThrow(() => unstarted.checkRemove(3n, everybody))
  assert.doesNotThrow(() => storeOf(member(1n)).checkAdd(member(2n), nobody), 'one may become two')
  assert.throws(() => storeOf(member(1n)).checkRemove(1n, everybody), refused('re-configuration failed due to not enough started members'))
  const three = storeOf(member(1n), member(2n), member(3n))
  const oneDown: ReconfigurationView = { ...everybody, activeSinceMs: (id) => (id === 3n ? undefined : 0) }
  assert.throws(() => three.checkAdd(member(4n), oneDown), refused('unhealthy cluster'), '2 connected of 4')
  assert.throws(() => three.checkAdd(member(4n), { ...everybody, activeSinceMs: () => 96_000 }), refused('unhealthy cluster'), 'connected for less than five seconds')
  assert.doesNotThrow(() => three.checkRemove(3n, oneDown), 'the one that is down')
  assert.throws(() => three.checkRemove(2n, oneDown), refused('unhealthy cluster'))
  assert.doesNotThrow(() => three.checkRemove(2n, { ...oneDown, isStrict: false }))
  assert.doesNotThrow(() => three.checkAdd(member(4n), { ...nobody, isStrict: false }))
})

test('a learner is promoted by the leader, and only when it has nearly the whole log', () => {
  const store = storeOf(member(1n), member(2n, { isLearner: true }))
  assert.throws(() => store.checkPromote(2n, undefined, everybody), refused('not leader'))
  assert.throws(() => store.checkPromote(2n, { learnerMatch: 89, leaderMatch: 100 }, everybody), refused('can only promote a learner member which is in sync with leader'))
  assert.throws(() => store.checkPromote(7n, 'unknownMember', everybody), refused('member not found'))
  assert.throws(() => store.checkPromote(1n, { learnerMatch: 100, leaderMatch: 100 }, everybody), refused('can only promote a learner member'))
})

test('the image holds everything, under the original keys', () => {
  const store = storeOf(member(0xabcn), member(0x1fn))
  apply(store, store.checkRemove(0x1fn, nobody))
  store.setClusterVersion('3.7.0')
  store.setDowngrade({ enabled: true, targetVersion: '3.6.0' })
  assert.deepEqual(store.image(), {
    members: [['abc', '{"id":2748,"peerURLs":["http://10.0.0.2748:2380"],"name":"m2748"}']], members_removed: [['1f', 'removed']],
    cluster: [['clusterVersion', '3.7.0'], ['downgrade', '{"target-version":"3.6.0","enabled":true}']],
  })
  const copy = storeOf(member(5n))
  copy.restore(store.image())
  assert.deepEqual(copy.image(), store.image())
  assert.throws(() => copy.restore({ members: [['zz', '{"id":1}']], members_removed: [], cluster: [] }), MemberJsonError)
  assert.deepEqual(copy.image(), store.image(), 'a damaged image changes nothing')
})

test("the cluster's version follows the lowest of its members, and a downgrade", () => {
  const none = { enabled: false, targetVersion: '' }
  const decide = (current: string | undefined, serverVersions: readonly (string | undefined)[], downgrade = none) => decideClusterVersion({ current, downgrade, serverVersions })
  assert.deepEqual(decide(undefined, ['3.7.3', '3.6.1']), { type: 'set', version: '3.6.0' })
  assert.deepEqual(decide(undefined, ['3.7.3', undefined]), { type: 'set', version: '3.0.0' }, 'somebody can not be asked')
  assert.deepEqual(decide('3.0.0', ['3.7.3', '3.7.3']), { type: 'set', version: '3.7.0' })
  assert.deepEqual(decide('3.6.0', ['3.7.3', undefined]), { type: 'keep' })
  assert.deepEqual(decide('3.7.0', ['3.7.3', '3.6.1']), { type: 'keep' }, 'never down by itself')
  const down = { enabled: true, targetVersion: '3.6.0' }
  assert.deepEqual(decide('3.7.0', ['3.7.3', '3.7.3'], down), { type: 'set', version: '3.6.0' })
  assert.deepEqual(decide('3.6.0', ['3.7.3', '3.6.1'], down), { type: 'keep' })
  assert.deepEqual(decide('3.7.0', ['3.7.3'], { enabled: true, targetVersion: '3.5.0' }), { type: 'invalidDowngrade' })
  assert.equal(isDowngradeDone(down, ['3.6.4', '3.6.1']), true)
  assert.equal(isDowngradeDone(down, ['3.6.4', '3.7.1']), false)
  assert.equal(isDowngradeDone(down, ['3.6.4', undefined]), false)
  assert.equal(checkDowngradeTarget('3.6', '3.7.0', none), '3.6.0')
  assert.throws(() => checkDowngradeTarget('3', '3.7.0', none), refused('wrong downgrade target version format'))
  assert.throws(() => checkDowngradeTarget('3.5.0', '3.7.0', none), refused('invalid downgrade target version'))
  assert.throws(() => checkDowngradeTarget('3.6.0', undefined, none), refused('cluster version not found during downgrade'))
  assert.throws(() => checkDowngradeTarget('3.6.0', '3.7.0', down), refused('cluster has a downgrade job in progress'))
})

test('a member joins only a cluster whose version it speaks', () => {
  const says = (cluster: string) => ({ server: '3.7.3', cluster })
  assert.equal(refuseJoin('3.7.3', [undefined, says('3.6.0')], false), undefined)
  assert.equal(refuseJoin('3.7.3', [undefined, undefined], false), 'nobodyAnswers')
  assert.equal(refuseJoin('3.7.3', [says('3.8.0')], false), 'tooHigh')
  assert.equal(refuseJoin('3.7.3', [says('2.3.0')], false), 'tooLow')
  assert.equal(refuseJoin('3.7.3', [says('3.8.0')], true), undefined, 'the cluster comes down to us')
  assert.equal(refuseJoin('3.7.3', [says('3.7.0')], true), 'tooLow')
})

test('URLs as the original reads them', () => {
  assert.equal(parseMemberUrl('http://a:80').text, 'http://a:80', 'the port of the scheme stays')
  assert.deepEqual(parseMemberUrl('https://[::1]:2380'), { text: 'https://[::1]:2380', scheme: 'https', host: '::1', port: 2380, path: '' })
  assert.equal(parseMemberUrl('unix://localhost:1').path, 'localhost:1')
  assert.throws(() => parseMemberUrl('http://a'), { message: 'URL address does not have the form "host:port": http://a' })
  assert.throws(() => parseMemberUrl('http://a:1/x'), { message: 'URL must not contain a path: http://a:1/x' })
  assert.throws(() => parseMemberUrl('a:1'), { message: 'URL scheme must be http, https, unix, or unixs: a:1' })
  assert.deepEqual([...parseInitialCluster('b=http://b:2,a=http://a:2,b=http://b:1,')], [['b', ['http://b:1', 'http://b:2']], ['a', ['http://a:2']]])
})

const ids = { memberIdOf, clusterIdOf }
const settings = (more: Partial<BootstrapSettings> & { readonly cluster?: string } = {}): BootstrapSettings => ({ name: 'a', peerUrls: ['http://a:1'], token: 't', initialCluster: parseInitialCluster(more.cluster ?? 'a=http://a:1,b=http://b:1'), ...more })

test('a new cluster: ids of all members, and what is refused', () => {
  const plan = planNewCluster(settings(), ids, sameTexts)
  assert.equal(plan.memberId, memberIdOf(['http://a:1'], 't'))
  assert.equal(plan.clusterId, clusterIdOf(plan.members.map((m) => m.id)))
  assert.deepEqual(plan.members.map((m) => m.name).sort(), ['a', 'b'])
  assert.equal(plan.clusterId, planNewCluster(settings({ name: 'b', peerUrls: ['http://b:1'], cluster: 'b=http://b:1,a=http://a:1' }), ids, sameTexts).clusterId, 'both compute the same')
  const refuse = (given: BootstrapSettings, message: string): void => assert.throws(() => planNewCluster(given, ids, sameTexts), { message })
  refuse(settings({ name: 'c' }), `couldn't find local name "c" in the initial cluster configuration`)
  refuse(settings({ cluster: 'a=http://a:1,b=http://a:1' }), 'initial cluster a=http://a:1,b=http://a:1 has duplicate url')
  refuse(settings({ peerUrls: ['http://x:1'] }), '--initial-cluster has a=http://a:1 but missing from --initial-advertise-peer-urls=http://x:1')
  refuse(settings({ peerUrls: ['http://a:1', 'http://x:1'] }), '--initial-advertise-peer-urls has http://x:1 but missing from --initial-cluster=a=http://a:1,a=http://x:1')
})

test('joining: ids from those that run, by URL; a started member without data is refused', () => {
  const running = { clusterId: 9n, members: [member(7n, { name: 'b', peerUrls: ['http://b:1'] }), member(5n, { name: '', peerUrls: ['http://a:1'], isLearner: true })] }
  const plan = planJoin(settings(), running, 1, ids, sameTexts)
  assert.deepEqual(plan, { memberId: 5n, clusterId: 9n, isNewCluster: false, members: [member(5n, { name: 'a', peerUrls: ['http://a:1'], isLearner: true }), member(7n, { name: 'b', peerUrls: ['http://b:1'] })] })
  assert.throws(() => planJoin(settings({ cluster: 'a=http://a:1' }), running, 1, ids, sameTexts), /error validating peerURLs \{ClusterID:9 .*\}: member count is unequal$/)
  assert.throws(() => planJoin(settings({ cluster: 'a=http://a:1,b=http://c:1' }), running, 1, ids, sameTexts), /PeerURLs: no match found for existing member \(7, \[http:\/\/b:1\]/)
  assert.throws(() => planJoin(settings(), running, 0, ids, sameTexts), /too many learner members/)
  assert.throws(() => checkNotBootstrapped(0x7n, [member(7n, { clientUrls: ['http://b:2'] })]), { message: 'member 7 has already been bootstrapped' })
  assert.doesNotThrow(() => checkNotBootstrapped(7n, [member(7n)]))
})
