// The original kube-apiserver on an etcd of the test's choice, with the original kubectl to talk to it.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { generateKeyPair } from '../../src/lib/net/pki/certificates.ts'
import { until } from './apiserver-under-test.ts'
import { freePorts, type Backend } from './etcd-backends.ts'
import { run, type Run } from './etcd-pair.ts'

const program = resolve(import.meta.dirname, '.bin/kube-apiserver')
const kubectlProgram = resolve(import.meta.dirname, '.bin/kubectl')
/** Why there is none; undefined: there is. */
export const missingApiServer = existsSync(program) ? (existsSync(kubectlProgram) ? undefined : 'no original kubectl: run test/interop/build-originals.sh') : 'the original kube-apiserver is not built: run test/interop/build-kube-apiserver.sh (some minutes)'
export interface OriginalApiServer extends AsyncDisposable {
  readonly url: string
  kubectl(args: readonly string[], input?: string): Promise<Run>
  /** Fails unless kubectl succeeds. */
  ok(args: readonly string[], input?: string): Promise<string>
}

/** Ready when it is given. */
export async function startOriginalApiServer(backend: Backend, flags: readonly string[] = []): Promise<OriginalApiServer> {
  const { folder, pki } = backend
  assert.ok(pki)
  const pair = generateKeyPair()
  const file = (name: string, text: string): string => { writeFileSync(join(folder, name), text); return join(folder, name) }
  const key = file('sa.key', pair.keyPem)
  const publicKey = file('sa.pub', String(createPublicKey(pair.key).export({ type: 'spki', format: 'pem' })))
  const tokens = file('tokens.csv', 'secret-of-admin,admin,1,"system:masters"\n')
  const [port = 0] = await freePorts(1)
  const logFile = join(folder, `kube-apiserver-${port}.log`)
  const log = openSync(logFile, 'a')
  const child: ChildProcess = spawn(program, [
    `--etcd-servers=${backend.endpoints.join(',')}`, `--etcd-cafile=${pki.ca}`, `--etcd-certfile=${pki.client.cert}`, `--etcd-keyfile=${pki.client.key}`, '--bind-address=127.0.0.1', `--secure-port=${port}`, '--advertise-address=192.0.2.10',
    `--cert-dir=${join(folder, 'certs')}`, '--service-account-issuer=https://kubernetes.default.svc', `--service-account-key-file=${publicKey}`, `--service-account-signing-key-file=${key}`, `--token-auth-file=${tokens}`,
    '--authorization-mode=RBAC', '--service-cluster-ip-range=10.96.0.0/24', '--disable-admission-plugins=ServiceAccount', ...flags,
  ], { stdio: ['ignore', log, log] })
  const exited = new Promise<void>((done) => { child.once('exit', () => { done() }) })
  const url = `https://127.0.0.1:${port}`
  const kubeconfig = file('kubeconfig', '')
  const kubectl = (args: readonly string[], input = ''): Promise<Run> => run(kubectlProgram, [`--kubeconfig=${kubeconfig}`, `--server=${url}`, '--insecure-skip-tls-verify', '--token=secret-of-admin', `--cache-dir=${join(folder, 'cache')}`, ...args], input)
  const server: OriginalApiServer = {
    url, kubectl,
    async ok(args, input) {
      const answer = await kubectl(args, input)
      assert.equal(answer.code, 0, `kubectl ${args.join(' ')}: ${answer.err}`)
      return answer.out
    },
    async [Symbol.asyncDispose]() { child.kill('SIGKILL'); await exited },
  }
  try {
    await until('the original kube-apiserver is ready', async () => {
      if (child.exitCode !== null) throw new Error(`it ended:\n${readFileSync(logFile, 'utf8').split('\n').slice(-20).join('\n')}`)
      return (await kubectl(['get', '--raw', '/readyz'])).out === 'ok'
    }, 60_000)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}
