// kubectl describe of CertificateSigningRequests: what the request's PKCS #10 document asks for. Upstream: kubectl/pkg/describe
import { formatHumanDuration } from '../../../lib/apimachinery/duration.ts'
import type { CertificateSigningRequest } from '../../../lib/api/generated/types/certificates-v1.ts'
import { formatLabels } from '../printers/table-printer.ts'
import { parseCertificateRequest } from './certificate-request.ts'
import { DescribeWriter, formatLongTime } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { writeEventsOf } from './describer.ts'

export async function describeCertificateSigningRequest(world: DescribeWorld, request: CertificateSigningRequest): Promise<string> {
  const { metadata, spec, status } = request
  const { subject, names } = parseCertificateRequest(Buffer.from(spec.request, 'base64').toString('utf8'))
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Labels:\t${formatLabels(metadata.labels)}`)
  out.line(0, `Annotations:\t${formatLabels(metadata.annotations)}`)
  out.line(0, `CreationTimestamp:\t${formatLongTime(metadata.creationTimestamp)}`)
  out.line(0, `Requesting User:\t${spec.username ?? ''}`)
  if (spec.signerName) out.line(0, `Signer:\t${spec.signerName}`)
  if (spec.expirationSeconds !== undefined) out.line(0, `Requested Duration:\t${formatHumanDuration(spec.expirationSeconds * 1000)}`)
  const types = new Set((status?.conditions ?? []).map((c) => c.type))
  out.line(0, `Status:\t${types.has('Denied') ? 'Denied' : types.has('Approved') ? 'Approved' : 'Pending'}${types.has('Failed') ? ',Failed' : ''}${status?.certificate ? ',Issued' : ''}`)
  out.line(0, 'Subject:')
  const list = (title: string, values: readonly string[] | undefined): void => { if (values && values.length > 0) out.line(0, `\t${title}:\t${values.join('\n\t\t')}`) }
  out.line(0, `\tCommon Name:\t${subject.get('CN')?.at(-1) ?? ''}`)
  out.line(0, `\tSerial Number:\t${subject.get('serialNumber')?.at(-1) ?? ''}`)
  for (const [title, attribute] of [['Organization', 'O'], ['Organizational Unit', 'OU'], ['Country', 'C'], ['Locality', 'L'], ['Province', 'ST'], ['StreetAddress', 'street'], ['PostalCode', 'postalCode']] as const) list(title, subject.get(attribute))
  if (names.dns.length + names.email.length + names.uri.length + names.ip.length > 0) {
    out.line(0, 'Subject Alternative Names:')
    list('DNS Names', names.dns)
    list('Email Addresses', names.email)
    list('URIs', names.uri)
    list('IP Addresses', names.ip)
  }
  await writeEventsOf(out, world, 'CertificateSigningRequest', request)
  return out.aligned()
}
