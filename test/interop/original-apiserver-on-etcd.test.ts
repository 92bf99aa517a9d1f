// What the original API server does with its etcd, done by its own storage library (k8s.io/apiserver/pkg/storage: etcd3, cacher, compactor, leases,
// feature check, health) against ours: the program prints a line per check, and the lines have to be those that it prints about the original etcd.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { backendKinds, debianEtcd, startBackend, type Backend, type BackendKind } from './etcd-backends.ts'

const program = resolve(import.meta.dirname, '.bin/apiserver-storage')
const missing = existsSync(program) ? undefined : `not built at ${program}: run test/interop/build-originals.sh`
if (process.env['CI'] && missing !== undefined) throw new Error(missing)

interface Report { readonly code: number; readonly lines: readonly string[] }

function report(backend: Backend): Promise<Report> {
  const { pki, endpoints } = backend
  const tls = pki ? ['--cacert', pki.ca, '--cert', pki.client.cert, '--key', pki.client.key] : []
  return new Promise((done) => {
    execFile(program, ['--endpoints', endpoints.join(','), ...tls], { timeout: 150_000, maxBuffer: 16 * 1024 * 1024 }, (error, out) => {
      done({ code: error ? Number(error.code ?? 1) : 0, lines: out.trimEnd().split('\n') })
    })
  })
}

async function reportOf(kind: BackendKind): Promise<Report> {
  await using backend = await startBackend(kind)
  return await report(backend)
}

const plain = (program: BackendKind['program']): BackendKind => ({ name: `${program}, in the clear`, program, members: 1, tls: false, missing: undefined })
const checks = 32

describe('the original API server’s storage library', { ...(missing !== undefined && { skip: missing }), timeout: 600_000 }, () => {
  let expected: Report = { code: -1, lines: [] }
  before(async () => { expected = await reportOf(plain('original')) }, { timeout: 150_000 })

  test('control of the harness: on the original etcd every check passes', () => {
    assert.deepEqual(expected.lines.filter((line) => !line.startsWith('ok ')), [])
    assert.equal(expected.code, 0)
    assert.ok(expected.lines.length >= checks, `${expected.lines.length} checks`)
  })

  for (const kind of [plain('ours'), ...backendKinds.filter((one) => one.program !== 'debian' && !(one.program === 'original' && one.members === 1))]) {
    test(`on ${kind.name}: the same lines`, { timeout: 180_000, ...(kind.missing !== undefined && { skip: kind.missing }) }, async () => {
      const found = await reportOf(kind)
      assert.deepEqual(found.lines.filter((line) => !expected.lines.includes(line)), [])
      assert.deepEqual(found.lines.length, expected.lines.length)
      assert.equal(found.code, 0)
    })
  }

  test('control: on an etcd of another age the lines are others', { timeout: 180_000, ...(!existsSync(debianEtcd) && { skip: `no ${debianEtcd}` }) }, async () => {
    const found = await reportOf(plain('debian'))
    const differing = expected.lines.filter((line) => !found.lines.includes(line))
    assert.ok(differing.some((line) => line.includes('feature check')) && differing.some((line) => line.includes('RangeStream')), differing.join('\n'))
  })
})
