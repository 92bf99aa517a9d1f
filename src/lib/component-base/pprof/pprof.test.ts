// /debug/pprof/: what is answered, and that profiles hold what was done. Go's own tool reads them in test/interop/etcd-flags.test.ts.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import { realClock } from '../../async/real-clock.ts'
import type { PlainRequest, PlainResponse } from '../../net/grpc/grpc-server.ts'
import { PprofEndpoints } from './pprof-endpoints.ts'
import { PprofProfile } from './pprof-profile.ts'

test('profiles: samples with their stacks, each place and text once', async () => {
  const profile = new PprofProfile([{ type: 'samples', unit: 'count' }, { type: 'cpu', unit: 'nanoseconds' }], { timeMs: 1, durationMs: 2, period: 10 })
  const [leaf, main] = [{ functionName: 'leaf', file: '/a.ts', line: 3 }, { functionName: 'main', file: '/a.ts', line: 9 }]
  profile.add([leaf, main], [1, 10])
  profile.add([main], [2, 20])
  const bytes = gunzipSync(await profile.finish())
  // Message 2 is a sample: its locations, leaf first, and its values.
  assert.ok(bytes.includes(Buffer.from('12080a0201021202010a', 'hex')), bytes.toString('hex'))
  assert.equal(bytes.toString('latin1').split('/a.ts').length - 1, 1)
})

test('the endpoints', async () => {
  using endpoints = new PprofEndpoints(realClock)
  const ask = async (path: string): Promise<PlainResponse> => {
    const request: PlainRequest = { method: 'GET', path, headers: {}, body: Buffer.alloc(0), signal: new AbortController().signal, clientCommonName: undefined }
    const answer = await endpoints.answer(request)
    assert.ok(answer, path)
    return answer
  }
  assert.equal(endpoints.answer({ method: 'GET', path: '/debug/pprofile', headers: {}, body: Buffer.alloc(0), signal: new AbortController().signal, clientCommonName: undefined }), undefined)
  assert.match((await ask('/debug/pprof/')).body, /<a href="heap">/)
  assert.equal((await ask('/debug/pprof/cmdline')).body.split('\0')[0], process.argv[0])
  assert.equal((await ask('/debug/pprof/nonsense')).status, 404)
  assert.match((await ask('/debug/pprof/threadcreate?debug=1')).body, /^threadcreate profile: total \d+\n/)
  const profiling = ask('/debug/pprof/profile?seconds=0.3')
  assert.equal((await ask('/debug/pprof/profile?seconds=1')).status, 500, 'one at a time')
  const until = realClock.monotonic() + 200
  let sum = 0
  const burnProcessorTime = (): void => { while (realClock.monotonic() < until) sum += Math.sqrt(sum + 1) }
  burnProcessorTime()
  const cpu = gunzipSync((await profiling).bytes ?? Buffer.alloc(0)).toString('latin1')
  assert.ok(cpu.includes('burnProcessorTime') && cpu.includes('nanoseconds') && cpu.includes('pprof.test.ts'))
  const kept: unknown[] = []
  function keepMemory(): void { for (let i = 0; i < 200_000; i++) kept.push({ i, text: `${i}` }) }
  keepMemory()
  const heap = gunzipSync((await ask('/debug/pprof/heap')).bytes ?? Buffer.alloc(0)).toString('latin1')
  assert.ok(heap.includes('inuse_space') && heap.includes('keepMemory'))
  assert.equal(kept.length, 200_000)
  const allocated = ask('/debug/pprof/allocs?seconds=0.1')
  keepMemory()
  assert.ok(gunzipSync((await allocated).bytes ?? Buffer.alloc(0)).toString('latin1').includes('alloc_space'))
})
