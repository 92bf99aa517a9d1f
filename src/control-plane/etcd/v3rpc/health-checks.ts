// /health, /livez and /readyz: whether this member can serve, and why not. Upstream: etcd/server/etcdserver/api/etcdhttp/health.go
import type { PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdInternals } from '../embedded.ts'
import { hasLeader, raftOf } from './cluster-view.ts'

const text = { 'content-type': 'text/plain; charset=utf-8' } as const
const checked = { ...text, 'x-content-type-options': 'nosniff' } as const
/** As long as every request may take: five seconds and twice the usual election timeout. */
const longestReadMs = 7000

type CheckName = 'serializable_read' | 'linearizable_read' | 'data_corruption' | 'non_learner'

/** Checks of each list, in the order in which they are told. */
export const checkLists: { readonly livez: readonly CheckName[]; readonly readyz: readonly CheckName[] } = {
  livez: ['serializable_read'],
  readyz: ['data_corruption', 'serializable_read', 'linearizable_read', 'non_learner'],
}

/** What is wrong; undefined: nothing. */
async function runCheck(etcd: EtcdInternals, name: CheckName, signal: AbortSignal): Promise<string | undefined> {
  switch (name) {
    case 'serializable_read': return await tryRead(etcd, true, signal)
    case 'linearizable_read': return await tryRead(etcd, false, signal)
    case 'data_corruption': return etcd.member.machine.hasAlarm('CORRUPT') ? 'alarm activated: CORRUPT' : undefined
    case 'non_learner': return raftOf(etcd).isLearner ? 'not supported for learner' : undefined
  }
}

/** Reads as an administrator would: whether somebody may read is not the question. */
async function tryRead({ client, clock }: EtcdInternals, serializable: boolean, signal: AbortSignal): Promise<string | undefined> {
  const late = new AbortController()
  const timer = clock.setTimer(longestReadMs, () => late.abort(new EtcdError('Unavailable', 'etcdserver: request timed out')), { keepAlive: false })
  try {
    await client.range({ key: Uint8Array.of(0), limit: 1, keysOnly: true, serializable }, AbortSignal.any([signal, late.signal]))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    timer[Symbol.dispose]()
  }
}

/** `exclude=NOSPACE` passes over an alarm; `serializable=true` asks this member alone, not the cluster. */
export async function answerHealth(etcd: EtcdInternals, query: URLSearchParams, signal: AbortSignal): Promise<PlainResponse> {
  const { http } = etcd.member.metrics
  const reason = await whatAils(etcd, new Set(query.getAll('exclude')), query.get('serializable') === 'true', signal)
  if (reason === '') {
    http.healthSuccess.inc()
    return { status: 200, headers: text, body: '{"health":"true","reason":""}' }
  }
  http.healthFailures.inc()
  return { status: 503, headers: checked, body: `${JSON.stringify({ health: 'false', reason })}\n` }
}

async function whatAils(etcd: EtcdInternals, excluded: ReadonlySet<string>, serializable: boolean, signal: AbortSignal): Promise<string> {
  const alarm = etcd.member.machine.alarms.find((raised) => !excluded.has(raised.alarm))
  if (alarm) return `ALARM ${alarm.alarm}`
  if (!serializable && !hasLeader(etcd)) return 'RAFT NO LEADER'
  const failure = await tryRead(etcd, serializable, signal)
  return failure === undefined ? '' : `RANGE ERROR:${failure}`
}

/** @param only the one check that is asked for by its own path */
export async function answerChecks(etcd: EtcdInternals, list: 'livez' | 'readyz', only: string | undefined, query: URLSearchParams, signal: AbortSignal): Promise<PlainResponse> {
  const { http } = etcd.member.metrics
  const excluded = new Set(query.getAll('exclude'))
  let failed = false
  const lines: string[] = []
  for (const name of checkLists[list]) {
    if (only === undefined ? excluded.has(name) : only !== name) continue
    const wrong = await runCheck(etcd, name, signal)
    failed ||= wrong !== undefined
    lines.push(wrong === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${wrong}\n`)
    http.healthcheck.of(name, list).set(wrong === undefined ? 1 : 0)
    http.healthchecks.of(name, wrong === undefined ? 'success' : 'error', list).inc()
  }
  if (failed) return { status: 503, headers: checked, body: `${lines.join('')}\n` }
  return { status: 200, headers: checked, body: query.has('verbose') ? `${lines.join('')}ok\n` : 'ok\n' }
}
