import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EtcdMetrics } from './etcd-metrics.ts'
import { doublingBounds, formatNumber, Histogram, MetricRegistry } from './instruments.ts'

test('numbers as Go writes them', () => {
  assert.deepEqual([0, 1, -1, 0.5, 0.0001, 0.00001, 123_456, 999_999, 1_000_000, 1_795_397_216, 2 ** 64, Infinity, -Infinity, NaN].map(formatNumber),
    ['0', '1', '-1', '0.5', '0.0001', '1e-05', '123456', '999999', '1e+06', '1.795397216e+09', '1.8446744073709552e+19', '+Inf', '-Inf', 'NaN'])
})

test('bounds double, without the noise of fractions', () => {
  assert.deepEqual(doublingBounds(0.1, 4), [0.1, 0.2, 0.4, 0.8])
  assert.equal(doublingBounds(0.0001, 20).at(-1), 52.4288)
  assert.equal(doublingBounds(1, 24).at(-1), 8_388_608)
})

test('a histogram counts a value at its bound in the bucket of that bound', () => {
  const histogram = new Histogram(doublingBounds(1, 3))
  for (const value of [0, 1, 1.5, 2, 4, 5]) histogram.observe(value)
  assert.deepEqual([...histogram.series('h', 'a="b"')], ['h_bucket{a="b",le="1"} 2', 'h_bucket{a="b",le="2"} 4', 'h_bucket{a="b",le="4"} 5', 'h_bucket{a="b",le="+Inf"} 6', 'h_sum{a="b"} 13.5', 'h_count{a="b"} 6'])
  assert.equal(histogram.count, 6)
  assert.equal(histogram.mean, 2.25)
})

test('the text: sorted, families without series left out, labels escaped', () => {
  const registry = new MetricRegistry()
  registry.counter('b_total', 'B.').inc(2)
  const family = registry.gauges('a', 'A.', ['x', 'y'])
  registry.counters('c_total', 'C.', ['z'])
  family.of('2', 'q"\\\n').set(5)
  family.of('1', '').dec()
  assert.equal(family.of('2', 'q"\\\n').value, 5)
  assert.equal(registry.text(), '# HELP a A.\n# TYPE a gauge\na{x="1",y=""} -1\na{x="2",y="q\\"\\\\\\n"} 5\n# HELP b_total B.\n# TYPE b_total counter\nb_total 2\n')
  family.clear()
  assert.doesNotMatch(registry.text(), /# TYPE a /)
})

test('what is measured by type appears with its labels', () => {
  const metrics = new EtcdMetrics()
  metrics.observeRequest('Put', 0.0015)
  metrics.observeRequest('Put', 0.0015, false)
  metrics.observeApply('Txn', 0.2)
  metrics.fsync.observe(0.003)
  const text = metrics.text()
  for (const line of [
    'etcd_server_request_duration_seconds_bucket{success="true",type="Put",le="0.002"} 1', 'etcd_server_request_duration_seconds_count{success="false",type="Put"} 1', 'etcd_server_apply_duration_seconds_sum{op="Txn",success="true",version="v3"} 0.2',
    'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 1', 'promhttp_metric_handler_requests_total{code="200"} 0',
  ]) assert.ok(text.split('\n').includes(line), line)
  assert.doesNotMatch(text, /grpc_server_handling_seconds/)
  metrics.grpc.measureCalls()
  metrics.grpc.handlingSeconds?.of('Put', 'etcdserverpb.KV', 'unary').observe(0.01)
  assert.match(metrics.text(), /grpc_server_handling_seconds_bucket\{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary",le="0.01"\} 1/)
})
