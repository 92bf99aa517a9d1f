// The original kubectl and ours, side by side on one API server: what they print and how they end must be the same, character for character.
// Only what differs between any two runs is evened out: ages, uids, times, names by chance, the addresses and ports that a Service is given.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { executeKubectl } from '../../src/clients/kubectl/kubectl.ts'
import { formatKubeconfig, loadOrCreatePki } from '../../src/cmd/cluster/cluster-pki.ts'
import { startControlPlane } from '../../src/cmd/cluster/control-plane.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { changingCases, configCases, moreChangingCases, readingCases } from './kubectl-cases.ts'

const originalPath = resolve(import.meta.dirname, '.bin/kubectl')
const present = existsSync(originalPath)
if (!present && process.env['CI']) throw new Error('no kubectl: run test/interop/build-originals.sh')

interface Run { readonly code: number; readonly out: string; readonly err: string }
type Side = 'left' | 'rite'

const resources = new AsyncDisposableStack()
const stop = new AbortController()
let folder = ''
let kubeconfig = ''

before(async () => {
  if (!present) return
  folder = mkdtempSync(join(tmpdir(), 'k8ts-kubectl-'))
  const pki = loadOrCreatePki(join(folder, 'pki'), ['localhost', '127.0.0.1', 'kubernetes'], realClock, realRandom)
  const controlPlane = resources.use(await startControlPlane({
    clock: realClock, random: realRandom, logger: silentLogger, disk: 'memory', listen: [{ address: '127.0.0.1', port: 0 }],
    apiServer: { advertiseAddress: '172.29.0.1', serviceClusterIpRange: '10.96.0.0/16', tls: pki.apiServer, clientCa: pki.authority.certificate, serviceAccounts: { issuers: ['https://kubernetes.default.svc.cluster.local'], signingKey: pki.serviceAccountKey } },
    controllers: { settings: { clusterCidrs: ['10.244.0.0/16'], allocateNodeCidrs: true, rootCa: pki.authority.certificate } },
  }, stop.signal))
  kubeconfig = join(folder, 'config')
  writeFileSync(kubeconfig, formatKubeconfig('k8ts', 'admin', `https://127.0.0.1:${controlPlane.port}`, pki.authority.certificate, pki.admin))
})

after(async () => {
  stop.abort()
  await resources.disposeAsync()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const environmentOf = (config: string): { readonly [name: string]: string | undefined } => ({ ...process.env, HOME: folder, KUBECONFIG: config, TZ: process.env['TZ'] })

function runOriginal(args: readonly string[], input: string, config = kubeconfig): Promise<Run> {
  return new Promise((done) => {
    const child = execFile(originalPath, args, { env: environmentOf(config), maxBuffer: 1 << 26, timeout: 60_000, cwd: folder }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    child.stdin?.end(input)
  })
}

async function runOurs(args: readonly string[], input: string, config = kubeconfig): Promise<Run> {
  let [out, err] = ['', '']
  const stdout = new PassThrough()
  stdout.on('data', (piece: Buffer) => { out += piece.toString('utf8') })
  const stderr = new PassThrough()
  stderr.on('data', (piece: Buffer) => { err += piece.toString('utf8') })
  // cast: the parts of a process's streams that kubectl uses without a terminal
  const streams = { stdin: Readable.from([Buffer.from(input)]) as unknown as NodeJS.ReadStream, stdout: stdout as unknown as NodeJS.WriteStream, stderr: stderr as unknown as NodeJS.WriteStream }
  const code = await executeKubectl(args, { environment: environmentOf(config), clock: realClock, random: realRandom, signal: stop.signal, ...streams, out: (text) => { out += text }, err: (text) => { err += text } })
  return { code, out, err }
}

/** Words of a line, with quotes as in a shell. */
const wordsOf = (line: string): readonly string[] => [...line.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)].map((m) => m[0].replace(/'([^']*)'|"([^"]*)"/g, '$1$2'))

function argumentsOf(line: string, side: Side, namespace: string): { readonly args: readonly string[]; readonly input: string } {
  const [command = '', input = ''] = line.split(' <<< ').map((part) => part.replaceAll('@S', namespace))
  const words = wordsOf(command.replace(/^!/, ''))
  if (command.startsWith('!')) return { args: words, input }
  const dash = words.indexOf('--')
  const at = dash < 0 ? words.length : dash
  return { args: [...words.slice(0, at), '-n', namespace, ...words.slice(at)], input }
}

/** What differs between any two runs, made the same. */
const evenOut = (text: string): string => text
  .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UID').replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME').replace(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}/g, 'TIME')
  .replace(/\b(left|rite)(2?)\b/g, 'SIDE').replace(/\b\d+(\.\d+)?(ms|s)\b/g, 'AGE').replace(/resourceVersion"?: "\d+"/g, 'VERSION').replace(/-[bcdfghjklmnpqrstvwxz2456789]{5}\b/g, '-xxxxx')
  .replace(/\b10\.96\.\d+\.\d+/g, 'ADDRESS').replace(/\b3[0-2]\d{3}\b/g, 'PORT').replace(/\/kubeconfigs\/(left|rite|SIDE)/g, '/kubeconfigs/SIDE')

const evened = (run: Run): Run => ({ code: run.code, out: evenOut(run.out), err: evenOut(run.err) })

test('reading: describe, explain and wait of the same objects', { skip: !present }, async (t) => {
  const world = readFileSync(join(import.meta.dirname, 'kubectl-world.yaml'), 'utf8')
  const made = await runOriginal(['apply', '-f', '-'], world)
  assert.equal(made.code, 0, made.err)
  await runOriginal(['wait', '--for=jsonpath={.status.replicas}=2', 'deployment/web', '--timeout=10s'], '')
  await runOriginal(['wait', '--for=jsonpath={.status.active}=1', 'job/job', '--timeout=10s'], '')
  for (const line of readingCases) {
    await t.test(line, async () => {
      const { args, input } = argumentsOf(`!${line}`, 'left', '')
      // Controllers may be at work between the two: a difference must last.
      for (let attempt = 1; ; attempt++) {
        const [theirs, ours] = [evened(await runOriginal(args, input)), evened(await runOurs(args, input))]
        if (attempt < 3 && JSON.stringify(theirs) !== JSON.stringify(ours)) continue
        assert.deepEqual(ours, theirs)
        break
      }
    })
  }
})

test('config: each side changes a kubeconfig of its own', { skip: !present }, async (t) => {
  const path = (side: Side): string => join(folder, 'kubeconfigs', side, 'config')
  for (const side of ['left', 'rite'] as const) {
    mkdirSync(join(folder, 'kubeconfigs', side), { recursive: true })
    copyFileSync(kubeconfig, path(side))
  }
  for (const line of configCases) {
    await t.test(line, async () => {
      const args = ['config', ...wordsOf(line)]
      const [theirs, ours] = [evened(await runOriginal(args, '', path('left'))), evened(await runOurs(args, '', path('rite')))]
      assert.deepEqual(ours, theirs)
      assert.equal(readFileSync(path('rite'), 'utf8'), readFileSync(path('left'), 'utf8'))
    })
  }
})

for (const [title, cases, suffix] of [['changing: create, get, label, set, rollout, apply, delete', changingCases, ''], ['changing: expose, run, patch, replace, taint, drain, auth, autoscale', moreChangingCases, '2']] as const) {
  test(title, { skip: !present }, async (t) => {
    for (const line of cases) {
      await t.test(line, async () => {
        const [left, rite] = [argumentsOf(line, 'left', `left${suffix}`), argumentsOf(line, 'rite', `rite${suffix}`)]
        const [theirs, ours] = [evened(await runOriginal(left.args, left.input)), evened(await runOurs(rite.args, rite.input))]
        assert.deepEqual(ours, theirs)
      })
    }
  })
}
