// What the signers of the cluster sign, and when a request has had its day. Pure; runner/certificate-shell.ts reads requests, asks for rights and signs.
// Upstream: kubernetes/pkg/controller/certificates/{approver,signer,cleaner}, kubernetes/pkg/apis/certificates/helpers.go
import type { CertificateSigningRequest } from '../../../lib/api/generated/types/certificates-v1.ts'
import { certificateSigningRequests } from '../../../lib/client/resource-keys.ts'
import { inOrder, remove, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { timeOf } from './shared/pod-state.ts'

/** What a request asks for, as read from it. */
export interface RequestedNames {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
}

export const signerNames = ['kubernetes.io/kube-apiserver-client', 'kubernetes.io/kube-apiserver-client-kubelet', 'kubernetes.io/kubelet-serving', 'kubernetes.io/legacy-unknown'] as const
export type SignerName = typeof signerNames[number]

const clientUsages: readonly (readonly string[])[] = [['client auth', 'digital signature', 'key encipherment'], ['client auth', 'digital signature']]
const servingUsages: readonly (readonly string[])[] = [['digital signature', 'key encipherment', 'server auth'], ['digital signature', 'server auth']]

/** Why the signer does not sign this; undefined when it does. */
export function refusalOf(signer: SignerName, usages: readonly string[], names: RequestedNames): string | undefined {
  const sorted = [...new Set(usages)].sort()
  const oneOf = (sets: readonly (readonly string[])[]): boolean => sets.some((set) => set.join() === sorted.join())
  const node = (): string | undefined => {
    if (names.organizations.join() !== 'system:nodes') return 'subject organization is not system:nodes'
    return names.commonName.startsWith('system:node:') ? undefined : 'subject common name does not begin with system:node:'
  }
  switch (signer) {
    case 'kubernetes.io/kube-apiserver-client': return sorted.includes('client auth') && sorted.every((usage) => clientUsages[0]?.includes(usage)) ? undefined : 'usages did not match the usages of a client'
    case 'kubernetes.io/kube-apiserver-client-kubelet': {
      const names_ = [...names.dnsNames, ...names.ipAddresses, ...names.emailAddresses, ...names.uris]
      return node() ?? (names_.length > 0 ? 'subject alternative names are not allowed' : oneOf(clientUsages) ? undefined : 'usages did not match')
    }
    case 'kubernetes.io/kubelet-serving': {
      if (names.dnsNames.length + names.ipAddresses.length === 0) return 'DNS or IP subjectAltName is required'
      if (names.emailAddresses.length + names.uris.length > 0) return 'email and URI subjectAltNames are not allowed'
      return node() ?? (oneOf(servingUsages) ? undefined : 'usages did not match')
    }
    case 'kubernetes.io/legacy-unknown': return undefined
  }
}

/** Which right lets a kubelet's request through without anybody's approval: its own renewal, or that of a node that joins. */
export function approvalRight(request: CertificateSigningRequest, names: RequestedNames): { readonly subresource: 'selfnodeclient' | 'nodeclient', readonly message: string } | undefined {
  if (request.spec.signerName !== 'kubernetes.io/kube-apiserver-client-kubelet' || refusalOf(request.spec.signerName, request.spec.usages ?? [], names) !== undefined) return undefined
  return request.spec.username === names.commonName
    ? { subresource: 'selfnodeclient', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.' }
    : { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' }
}

export function hasCondition(request: CertificateSigningRequest, ...types: readonly string[]): boolean {
  return request.status?.conditions?.some((condition) => types.includes(condition.type)) ?? false
}

const hourMs = 3_600_000

/** Milliseconds until the request is swept away: answered ones an hour after, unanswered ones a day after they came. */
export function untilSwept(request: CertificateSigningRequest, now: number): number {
  const answered = request.status?.conditions?.find((condition) => ['Approved', 'Denied', 'Failed'].includes(condition.type))
  const sinceMs = timeOf(answered?.lastUpdateTime ?? answered?.lastTransitionTime ?? request.metadata.creationTimestamp)
  return sinceMs + (answered ? hourMs : 24 * hourMs) - now
}

export function createCertificateCleaner(): Controller<{ readonly request: CertificateSigningRequest, readonly now: number }> {
  return {
    name: 'certificatesigningrequest-cleaner-controller',
    watches: [watch({ resource: certificateSigningRequests, keysOf: (request) => [request.metadata.name] })],
    observe(key, view, { now }) {
      const request = view.get(certificateSigningRequests, '', key)
      return request && { request, now }
    },
    sync({ request, now }): Plan {
      const leftMs = untilSwept(request, now)
      return leftMs > 0 ? { requeueAfterMs: leftMs } : { steps: inOrder(remove(certificateSigningRequests, request)) }
    },
  }
}
