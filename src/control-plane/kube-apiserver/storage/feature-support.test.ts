import { test } from 'node:test'
import assert from 'node:assert/strict'
import { silentLogger } from '../../../lib/component-base/log.ts'
import type { EtcdClient, EtcdEndpointStatus } from '../../../lib/etcd-client/etcd-client.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { FeatureSupport, hasReliableProgress } from './feature-support.ts'

const signal = new AbortController().signal

test('versions whose progress notifications keep their word', () => {
  for (const version of ['3.4.31', '3.4.40', '3.5.13', '3.5.21', '3.6.0', '3.7.3', '3.7.0-alpha.0', '4.0.0', 'v3.6.1']) assert.ok(hasReliableProgress(version), version)
  for (const version of ['3.4.30', '3.4.23', '3.5.12', '3.5.0', '3.3.27', '2.3.8', '', 'unknown']) assert.ok(!hasReliableProgress(version), version)
})

/** An etcd whose endpoints answer as the list says. */
function etcdWith(statuses: readonly EtcdEndpointStatus[]): EtcdClient & { statuses: readonly EtcdEndpointStatus[] } {
  const etcd = { statuses, status: () => Promise.resolve({ version: etcd.statuses[0]?.version ?? '' }), endpointStatuses: () => Promise.resolve(etcd.statuses) }
  return etcd as unknown as EtcdClient & { statuses: readonly EtcdEndpointStatus[] } // cast: nothing else of the client is asked for
}

test('every endpoint is asked until it has answered; one old one is enough to say no', async () => {
  const clock = new SimulatedClock()
  const etcd = etcdWith([{ endpoint: 'a', version: '3.6.0' }, { endpoint: 'b' }])
  const support = new FeatureSupport(etcd, clock, silentLogger)
  assert.equal(support.progress, false, 'nothing is known yet')
  await support.start(signal)
  assert.equal(support.progress, true)
  await clock.advance(100)
  etcd.statuses = [{ endpoint: 'a', version: '3.6.0' }, { endpoint: 'b', version: '3.4.23' }]
  await clock.advance(15_000)
  assert.equal(support.progress, false)
  assert.equal(clock.pending, 0, 'nobody is asked any more')
})
