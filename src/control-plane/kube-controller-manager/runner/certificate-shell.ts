// certificatesigningrequest-approving-controller and -signing-controller: let kubelets' own requests through when their senders may, and sign what is approved.
// Upstream: kubernetes/pkg/controller/certificates/{approver,signer}
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { formatTime } from '../../../lib/base/clock.ts'
import type { CertificateSigningRequest } from '../../../lib/api/generated/types/certificates-v1.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { certificateSigningRequests } from '../../../lib/client/resource-keys.ts'
import { createWorkQueue } from '../../../lib/client/work-queue.ts'
import { certifyKey } from '../../../lib/net/pki/certificates.ts'
import { approvalRight, hasCondition, refusalOf, signerNames } from '../controllers/certificates.ts'
import type { SignerName } from '../controllers/certificates.ts'
import { CertificateRequestError, parseCertificateRequest } from './certificate-request.ts'
import type { CertificateRequest } from './certificate-request.ts'
import type { ControllerWorld } from './controller-runner.ts'

export interface SigningAuthority {
  /** PEM. */
  readonly certificate: string
  readonly key: string
  /** Longest validity of what it signs. */
  readonly durationMs: number
}

const backdateMs = 300_000
const shortestMs = 600_000

type SyncRequest = (request: CertificateSigningRequest, parsed: CertificateRequest) => Promise<void>
interface Prepared { start(signal: AbortSignal): { readonly done: Promise<void> } }

/** Calls `sync` for every request that changes, with what it asks for. */
function prepare(world: ControllerWorld, wants: (request: CertificateSigningRequest) => boolean, make: (signal: AbortSignal) => SyncRequest): Prepared {
  const informer = world.informers.informer(certificateSigningRequests)
  return {
    start(signal) {
      const queue = createWorkQueue({ clock: world.clock })
      const sync = make(signal)
      signal.addEventListener('abort', () => queue.shutDown(), { once: true })
      const enqueue = (request: CertificateSigningRequest): void => { if (wants(request)) queue.add(request.metadata.name) }
      informer.addHandler({ added: enqueue, updated: enqueue })
      const work = async (): Promise<void> => {
        for (let name = await queue.get(); name !== undefined; name = await queue.get()) {
          const request = informer.get('', name)
          try {
            if (request && wants(request)) await sync(request, parseCertificateRequest(Buffer.from(request.spec.request, 'base64').toString('utf8')))
            queue.forget(name)
          } catch (error) {
            if (error instanceof CertificateRequestError) world.logger.warn('Certificate request cannot be read', { name, err: error.message })
            else {
              if (!signal.aborted && !hasReason(error, 'Conflict', 'NotFound')) world.logger.error('Certificate request failed', error, { name })
              queue.addRateLimited(name)
            }
          } finally {
            queue.done(name)
          }
        }
      }
      return { done: Promise.all(Array.from({ length: world.concurrency ?? 5 }, work)).then(() => undefined) }
    },
  }
}

export function prepareCertificateApprover(world: ControllerWorld): Prepared {
  return prepare(world, (request) => !hasCondition(request, 'Approved', 'Denied'), (signal) => async (request, parsed) => {
    const right = approvalRight(request, parsed)
    if (!right) return
    const { username = '', uid = '', groups = [], extra = {} } = request.spec
    const review = await world.client.raw('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview',
      spec: { user: username, uid, groups, extra, resourceAttributes: { group: 'certificates.k8s.io', resource: 'certificatesigningrequests', verb: 'create', subresource: right.subresource, version: '*' } },
    }, signal)
    const { allowed } = review['status'] as { readonly allowed?: boolean } // cast: a SubjectAccessReview's status
    if (!allowed) return
    const time = formatTime(world.clock.now())
    const condition = { type: 'Approved', status: 'True', reason: 'AutoApproved', message: right.message, lastUpdateTime: time, lastTransitionTime: time }
    await world.client.resource(certificateSigningRequests).update({ ...request, status: { ...request.status, conditions: [...request.status?.conditions ?? [], condition] } }, signal, { subresource: 'approval' })
  })
}

export function prepareCertificateSigner(authority: SigningAuthority, world: ControllerWorld): Prepared {
  const ca = new X509Certificate(authority.certificate)
  const key = createPrivateKey(authority.key)
  const issuer = /(?:^|\n)CN=(.*)/.exec(ca.subject)?.[1] ?? ''
  const isOurs = (name: string): name is SignerName => signerNames.some((signer) => signer === name)
  const wants = (request: CertificateSigningRequest): boolean => isOurs(request.spec.signerName) && hasCondition(request, 'Approved') && !hasCondition(request, 'Denied', 'Failed') && !request.status?.certificate
  return prepare(world, wants, (signal) => async (request, parsed) => {
    const { signerName, usages = [], expirationSeconds } = request.spec
    if (!isOurs(signerName)) return
    const resource = world.client.resource(certificateSigningRequests)
    const now = world.clock.now()
    const refusal = refusalOf(signerName, usages, parsed)
    if (refusal !== undefined) {
      const time = formatTime(now)
      const condition = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: refusal, lastUpdateTime: time, lastTransitionTime: time }
      await resource.update({ ...request, status: { ...request.status, conditions: [...request.status?.conditions ?? [], condition] } }, signal, { subresource: 'status' })
      return
    }
    const durationMs = expirationSeconds === undefined ? authority.durationMs : Math.min(authority.durationMs, Math.max(shortestMs, expirationSeconds * 1000))
    const pem = certifyKey({ key, keyPem: authority.key }, issuer, parsed.publicKey, {
      subject: { commonName: parsed.commonName, organizations: parsed.organizations }, names: [...parsed.dnsNames, ...parsed.ipAddresses],
      usages: [...(usages.includes('server auth') ? ['server' as const] : []), ...(usages.includes('client auth') ? ['client' as const] : [])],
      notBeforeMs: now - backdateMs, notAfterMs: Math.min(now + durationMs, ca.validToDate.getTime()), random: world.random,
    })
    await resource.update({ ...request, status: { ...request.status, certificate: Buffer.from(pem).toString('base64') } }, signal, { subresource: 'status' })
  })
}
