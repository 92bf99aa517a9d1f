// A reporter for logs: failures in full, then the counts in the runner's own closing lines, and which files took long.
import { basename } from 'node:path'

const longMs = 20_000

export default async function* quiet(source) {
  const counts = { tests: 0, pass: 0, fail: 0, skipped: 0 }
  const files = []
  for await (const { type, data } of source) {
    if (type === 'test:summary' && data.file) { files.push({ name: basename(data.file, '.test.ts'), ms: data.duration_ms }); continue }
    if (type === 'test:stderr' || type === 'test:stdout') { if (process.env.K8TS_TEST_OUTPUT) yield data.message; continue }
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.details?.type === 'suite') continue
    counts.tests++
    if (data.skip !== undefined) { counts.skipped++; yield `SKIP ${data.name}${typeof data.skip === 'string' && data.skip ? `: ${data.skip}` : ''}\n`; continue }
    if (type === 'test:pass') { counts.pass++; continue }
    counts.fail++
    const cause = data.details?.error?.cause ?? data.details?.error
    yield `\nFAIL ${data.name} (${data.file ?? ''}:${data.line ?? ''})\n${cause?.stack ?? cause}\n`
  }
  yield `\nℹ tests ${counts.tests}\nℹ pass ${counts.pass}\nℹ fail ${counts.fail}\nℹ skipped ${counts.skipped}\n`
  const long = files.filter(({ ms }) => ms > longMs).sort((a, b) => b.ms - a.ms).map(({ name, ms }) => `${name} ${Math.round(ms / 1000)} s`)
  if (long.length > 0) yield `ℹ longest ${long.join(', ')}\n`
}
