import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { kvService } from '../../../lib/etcd-api/generated/services.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { openEtcd } from '../embedded.ts'
import { CallMetrics } from './call-metrics.ts'
import { kvHandlers } from './kv-handlers.ts'
import { MemberLimits } from './member-limits.ts'

test('what stands before the calls that make the load leaves them their direct way', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  const calls = new CallMetrics(etcd.internals.member.metrics, realClock, [kvService], [])
  const limits = new MemberLimits(etcd.internals)
  for (const [method, handler] of kvHandlers(etcd.internals)) {
    const path = `/${kvService.name}/${method}`
    const outer = calls.observe(path, limits.limit(path, handler))
    if (method === 'RangeStream') assert.ok('stream' in outer)
    else assert.ok('direct' in outer && outer.direct && outer.observer, method)
  }
})
