// Certificate signing requests: approving and signing need a permission on the signer, and nobody gets into system:masters by certificate.
// Upstream: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction}
import type { CertificateSigningRequest } from '../../../lib/api/generated/types/certificates-v1.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { isResource } from './admission.ts'

const group = 'certificates.k8s.io'
const resource = 'certificatesigningrequests'

// cast: handles() has looked at the resource
const asRequest = (object: unknown): CertificateSigningRequest | undefined => object as CertificateSigningRequest | undefined

export function certificatePlugins(authorizer: Authorizer): readonly AdmissionPlugin[] {
  const mayOnSigner = (request: AdmissionRequest, verb: string, signer: string): boolean => {
    const domain = signer.split('/')[0] ?? ''
    return [signer, `${domain}/*`].some((name) => authorizer.authorize({ user: request.user, verb, isResource: true, group, version: 'v1', resource: 'signers', subresource: '', namespace: '', name, path: '' }).decision === 'allow')
  }
  return [
    {
      name: 'CertificateApproval',
      handles: (request) => request.operation === 'UPDATE' && isResource(request, group, resource, 'approval'),
      validate(request) {
        const signer = asRequest(request.oldObject)?.spec.signerName ?? ''
        if (!mayOnSigner(request, 'approve', signer)) throw forbidden({ group, resource }, request.name, `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`)
      },
    },
    {
      name: 'CertificateSigning',
      handles: (request) => request.operation === 'UPDATE' && isResource(request, group, resource, 'status'),
      validate(request) {
        const old = asRequest(request.oldObject)
        const next = asRequest(request.object)
        if (deepEqual(old?.status?.certificate, next?.status?.certificate) && deepEqual(old?.status?.conditions ?? [], next?.status?.conditions ?? [])) return
        const signer = old?.spec.signerName ?? ''
        if (!mayOnSigner(request, 'sign', signer)) throw forbidden({ group, resource }, request.name, `user not permitted to sign requests with signerName ${JSON.stringify(signer)}`)
      },
    },
    {
      name: 'CertificateSubjectRestriction',
      handles: (request) => request.operation === 'CREATE' && isResource(request, group, resource),
      validate(request) {
        const next = asRequest(request.object)
        if (next?.spec.signerName !== 'kubernetes.io/kube-apiserver-client') return
        // The subject's organization stands in the request as it is, in one of two string types.
        const der = Buffer.from(Buffer.from(next.spec.request, 'base64').toString().replace(/-----[A-Z ]+-----|\s/g, ''), 'base64')
        if (der.includes(organization(0x0c)) || der.includes(organization(0x13))) throw forbidden({ group, resource }, request.name, `use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`)
      },
    },
  ]
}

/** OID 2.5.4.10 followed by the string `system:masters`. */
function organization(stringTag: number): Buffer {
  const value = Buffer.from('system:masters')
  return Buffer.concat([Buffer.of(0x06, 0x03, 0x55, 0x04, 0x0a, stringTag, value.length), value])
}

