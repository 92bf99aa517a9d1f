// /healthz, /livez, /readyz: named checks, all together or one by one.
// Upstream: apiserver/pkg/server/healthz
import type { Answer, ApiCall } from './api-call.ts'
import { textAnswer } from './api-call.ts'

export interface HealthCheck {
  readonly name: string
  /** undefined: well; else why not. */
  check(signal: AbortSignal): string | undefined | Promise<string | undefined>
}

export type HealthEndpoint = 'healthz' | 'livez' | 'readyz'

export async function healthAnswer(endpoint: HealthEndpoint, rest: string, checks: readonly HealthCheck[], call: ApiCall): Promise<Answer> {
  if (rest !== '') {
    const single = checks.find((check) => check.name === rest)
    if (!single) return textAnswer(404, '404 page not found\n')
    const wrong = await single.check(call.signal)
    return wrong === undefined ? textAnswer(200, 'ok') : textAnswer(500, `internal server error: ${wrong}\n`)
  }
  const excluded = new Set(call.query.getAll('exclude'))
  const lines: string[] = []
  let failed = false
  for (const check of checks) {
    if (excluded.delete(check.name)) { lines.push(`[+]${check.name} excluded: ok`); continue }
    const wrong = await check.check(call.signal)
    if (wrong === undefined) lines.push(`[+]${check.name} ok`)
    else { failed = true; lines.push(`[-]${check.name} failed: reason withheld`) }
  }
  if (excluded.size > 0) lines.push(`warn: some health checks cannot be excluded: no matches for ${[...excluded].map((name) => JSON.stringify(name)).join(',')}`)
  if (failed) return textAnswer(500, `${lines.join('\n')}\n${endpoint} check failed\n`)
  if (!call.query.has('verbose')) return textAnswer(200, 'ok')
  return textAnswer(200, `${lines.join('\n')}\n${endpoint} check passed\n`)
}
