// The certificates of a one-machine cluster, under kubeadm's file names, made once and kept.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import { createAuthority, generateKeyPair, issueCertificate } from '../../lib/net/pki/certificates.ts'
import type { CertifiedKey, CertificateSubject } from '../../lib/net/pki/certificates.ts'

const yearMs = 365 * 24 * 3600 * 1000

export interface PemPair {
  readonly certificate: string
  readonly key: string
}

export interface ClusterPki {
  readonly authority: PemPair
  readonly frontProxyAuthority: PemPair
  readonly apiServer: PemPair
  readonly apiServerKubeletClient: PemPair
  readonly frontProxyClient: PemPair
  readonly admin: PemPair
  readonly controllerManager: PemPair
  readonly scheduler: PemPair
  /** etcd trusts its own authority only: nothing but the API server, and who may read this folder, can speak to it. */
  readonly etcdAuthority: PemPair
  readonly etcdServer: PemPair
  /** For people: `etcdctl --cacert … --cert … --key …`. */
  readonly etcdClient: PemPair
  readonly serviceAccountKey: string
  readonly serviceAccountPublicKey: string
  /** A client and serving pair for a node's kubelet. */
  node(name: string, addresses: readonly string[]): PemPair
  kubeProxy: PemPair
}

/** Reads what is there and makes what is missing. Serving certificates are made anew when `apiServerNames` changed. */
export function loadOrCreatePki(folder: string, apiServerNames: readonly string[], clock: Clock, random: Random): ClusterPki {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const validity = { notBeforeMs: clock.now() - 60_000, notAfterMs: clock.now() + 10 * yearMs }
  const stored = (name: string, make: () => PemPair): PemPair => {
    const [certificatePath, keyPath] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
    if (existsSync(certificatePath) && existsSync(keyPath)) return { certificate: readFileSync(certificatePath, 'utf8'), key: readFileSync(keyPath, 'utf8') }
    const made = make()
    mkdirSync(join(certificatePath, '..'), { recursive: true })
    writeFileSync(keyPath, made.key, { mode: 0o600 })
    writeFileSync(certificatePath, made.certificate)
    return made
  }
  const toPair = (k: CertifiedKey): PemPair => ({ certificate: k.certificatePem, key: k.keyPem })
  const certified = (pair: PemPair): CertifiedKey => ({ certificatePem: pair.certificate, keyPem: pair.key, key: createPrivateKey(pair.key) })
  const authority = stored('ca', () => toPair(createAuthority('kubernetes', validity, random)))
  const frontProxyAuthority = stored('front-proxy-ca', () => toPair(createAuthority('front-proxy-ca', validity, random)))
  const signer = certified(authority)
  const etcdAuthority = stored('etcd/ca', () => toPair(createAuthority('etcd-ca', validity, random)))
  const etcdPair = (commonName: string, usages: readonly ('server' | 'client')[]): PemPair =>
    toPair(issueCertificate(certified(etcdAuthority), 'etcd-ca', { subject: { commonName }, names: usages.includes('server') ? ['localhost', '127.0.0.1', '::1'] : [], usages, random, ...validity }))
  const client = (subject: CertificateSubject): PemPair => toPair(issueCertificate(signer, 'kubernetes', { subject, usages: ['client'], random, ...validity }))
  const namesPath = join(folder, 'apiserver.names')
  const names = apiServerNames.join('\n')
  const sameNames = existsSync(namesPath) && readFileSync(namesPath, 'utf8') === names
  const makeServing = (): PemPair => toPair(issueCertificate(signer, 'kubernetes', { subject: { commonName: 'kube-apiserver' }, names: apiServerNames, usages: ['server'], random, ...validity }))
  let apiServer: PemPair
  if (sameNames) apiServer = stored('apiserver', makeServing)
  else {
    apiServer = makeServing()
    writeFileSync(join(folder, 'apiserver.key'), apiServer.key, { mode: 0o600 })
    writeFileSync(join(folder, 'apiserver.crt'), apiServer.certificate)
    writeFileSync(namesPath, names)
  }
  const serviceAccount = stored('sa', () => {
    const pair = generateKeyPair()
    return { key: pair.keyPem, certificate: String(createPublicKey(pair.key).export({ type: 'spki', format: 'pem' })) }
  })
  return {
    authority, frontProxyAuthority, apiServer, etcdAuthority,
    etcdServer: stored('etcd/server', () => etcdPair('kube-etcd', ['server', 'client'])),
    etcdClient: stored('etcd/healthcheck-client', () => etcdPair('kube-etcd-healthcheck-client', ['client'])),
    apiServerKubeletClient: stored('apiserver-kubelet-client', () => client({ commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'] })),
    frontProxyClient: stored('front-proxy-client', () => toPair(issueCertificate(certified(frontProxyAuthority), 'front-proxy-ca', { subject: { commonName: 'front-proxy-client' }, usages: ['client'], random, ...validity }))),
    admin: stored('admin', () => client({ commonName: 'kubernetes-admin', organizations: ['system:masters'] })),
    controllerManager: stored('controller-manager', () => client({ commonName: 'system:kube-controller-manager' })),
    scheduler: stored('scheduler', () => client({ commonName: 'system:kube-scheduler' })),
    kubeProxy: stored('kube-proxy', () => client({ commonName: 'system:kube-proxy', organizations: ['system:node-proxier'] })),
    serviceAccountKey: serviceAccount.key,
    serviceAccountPublicKey: serviceAccount.certificate,
    node: (name, addresses) => stored(`nodes/${name}`, () => toPair(issueCertificate(signer, 'kubernetes', {
      subject: { commonName: `system:node:${name}`, organizations: ['system:nodes'] }, names: [name, ...addresses], usages: ['server', 'client'], random, ...validity }))),
  }
}

/** A kubeconfig of one cluster and one user, as kubeadm writes admin.conf. */
export function formatKubeconfig(clusterName: string, userName: string, server: string, authority: string, credentials: PemPair): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const context = `${userName}@${clusterName}`
  return [
    'apiVersion: v1', 'kind: Config', 'clusters:', '- cluster:', `    certificate-authority-data: ${base64(authority)}`, `    server: ${server}`, `  name: ${clusterName}`,
    'contexts:', '- context:', `    cluster: ${clusterName}`, `    user: ${userName}`, `  name: ${context}`, `current-context: ${context}`,
    'users:', `- name: ${userName}`, '  user:', `    client-certificate-data: ${base64(credentials.certificate)}`, `    client-key-data: ${base64(credentials.key)}`, '',
  ].join('\n')
}
