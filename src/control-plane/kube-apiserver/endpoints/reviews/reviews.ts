// The kinds that are questions: who is this token, who am I, may this user do that. Answered at once, never stored.
// Upstream: pkg/registry/authentication, pkg/registry/authorization
import { formatTime } from '../../../../lib/base/clock.ts'
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { SubjectAccessReview, SubjectAccessReviewSpec, SelfSubjectRulesReview } from '../../../../lib/api/generated/types/authorization-v1.ts'
import type { TokenReview } from '../../../../lib/api/generated/types/authentication-v1.ts'
import type { JsonObject } from '../../../../lib/base/json.ts'
import type { Authenticator } from '../../authentication/authenticator.ts'
import type { ServiceAccountTokens } from '../../authentication/service-account-tokens.ts'
import type { AuthorizationAttributes, Authorizer } from '../../authorization/authorizer.ts'
import type { RbacAuthorizer } from '../../authorization/rbac.ts'
import type { UserInfo } from '../../registry/strategy.ts'
import { asJson } from '../../storage/stored-object.ts'
import type { Answer, ApiCall } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { badRequest, invalid } from '../api-errors.ts'
import { inNamespaceOf } from '../create.ts'
import { decodeObject } from '../decode-body.ts'
import type { CustomHandler } from '../dispatch.ts'
import type { ServedResource } from '../served-resource.ts'
import { parseWriteOptions } from '../write-options.ts'

export interface ReviewServices {
  readonly authorizer: Authorizer
  readonly rbac: RbacAuthorizer | undefined
  readonly authenticator: Authenticator
  readonly serviceAccounts: ServiceAccountTokens
}

export function reviewHandlers(services: ReviewServices): readonly (readonly [string, CustomHandler])[] {
  const review = (handle: (body: JsonObject, call: ApiCall, resource: ServedResource) => JsonObject): CustomHandler => async (_server, resource, call): Promise<Answer> => {
    if (!resource) throw badRequest('no such review')
    const options = parseWriteOptions(call.query, call.headers, 'CreateOptions')
    const body = inNamespaceOf(resource, await decodeObject(resource, call, options.fieldValidation), call.info.namespace)
    return objectAnswer(201, handle(asJson(body), call, resource), resource.info.type, resource)
  }
  return [
    ['authorization.k8s.io/subjectaccessreviews', review((body) => accessReview(services, body, undefined))],
    ['authorization.k8s.io/localsubjectaccessreviews', review((body, call) => {
      // cast: decoded by the schema
      const { spec } = body as unknown as SubjectAccessReview
      if (spec.resourceAttributes?.namespace !== call.info.namespace) throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${call.info.namespace}`)
      return accessReview(services, body, undefined)
    })],
    ['authorization.k8s.io/selfsubjectaccessreviews', review((body, call) => accessReview(services, body, call.user))],
    ['authorization.k8s.io/selfsubjectrulesreviews', review((body, call) => rulesReview(services, body, call.user))],
    ['authentication.k8s.io/tokenreviews', review((body) => tokenReview(services, body))],
    ['authentication.k8s.io/selfsubjectreviews', review((body, call) => ({ ...withTime(body, call.nowMs), status: { userInfo: userInfo(call.user) } }))],
  ]
}

const userInfo = (user: UserInfo): JsonObject => ({
  username: user.name, ...(user.uid !== '' && { uid: user.uid }), ...(user.groups.length > 0 && { groups: user.groups }), ...(Object.keys(user.extra).length > 0 && { extra: user.extra }),
})

function withTime(body: JsonObject, nowMs: number): JsonObject {
  return { ...body, metadata: { ...(body['metadata'] as JsonObject), creationTimestamp: formatTime(nowMs) } } // cast: decoded by the schema
}

function accessReview(services: ReviewServices, body: JsonObject, self: UserInfo | undefined): JsonObject {
  const { spec } = body as unknown as SubjectAccessReview // cast: decoded by the schema
  const errors: FieldError[] = []
  if (spec.resourceAttributes && spec.nonResourceAttributes) errors.push(fieldInvalid('spec.nonResourceAttributes', spec.nonResourceAttributes, 'cannot be specified in combination with resourceAttributes'))
  if (!spec.resourceAttributes && !spec.nonResourceAttributes) errors.push(fieldInvalid('spec.resourceAttributes', null, self ? 'exactly one of nonResourceAttributes or resourceAttributes must be specified' : 'exactly one of nonResourceAttributes or resourceAttributes must be specified'))
  if (!self && (spec.user ?? '') === '' && (spec.groups?.length ?? 0) === 0) errors.push(fieldInvalid('spec.user', spec.user ?? '', 'at least one of user or group must be specified'))
  if (errors.length > 0) throw invalid('authorization.k8s.io', String(body['kind']), '', errors)
  const user: UserInfo = self ?? { name: spec.user ?? '', uid: spec.uid ?? '', groups: spec.groups ?? [], extra: spec.extra ?? {} }
  const decision = services.authorizer.authorize(attributesOf(spec, user))
  const denied = decision.decision === 'deny'
  return {
    ...body,
    status: {
      allowed: decision.decision === 'allow', ...(denied && { denied }), ...(decision.reason !== '' && { reason: decision.reason }), ...(decision.error !== undefined && { evaluationError: decision.error }),
    },
  }
}

function attributesOf(spec: SubjectAccessReviewSpec, user: UserInfo): AuthorizationAttributes {
  const { resourceAttributes: r, nonResourceAttributes: n } = spec
  return {
    user, isResource: r !== undefined, verb: r?.verb ?? n?.verb ?? '', group: r?.group ?? '', version: r?.version ?? '', resource: r?.resource ?? '', subresource: r?.subresource ?? '',
    namespace: r?.namespace ?? '', name: r?.name ?? '', path: n?.path ?? '', fieldSelector: selectorText(r?.fieldSelector),
  }
}

function selectorText(selector: { readonly rawSelector?: string; readonly requirements?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[] } | undefined): string {
  if (selector?.rawSelector) return selector.rawSelector
  return (selector?.requirements ?? []).filter((r) => r.operator === 'In' && r.values?.length === 1).map((r) => `${r.key}=${r.values?.[0] ?? ''}`).join(',')
}

function rulesReview(services: ReviewServices, body: JsonObject, user: UserInfo): JsonObject {
  const { spec } = body as unknown as SelfSubjectRulesReview // cast: decoded by the schema
  if ((spec.namespace ?? '') === '') throw badRequest('no namespace on request')
  const all = user.groups.includes('system:masters') ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, { verbs: ['*'], nonResourceURLs: ['*'] }] : []
  const rules = [...all, ...(services.rbac?.rulesFor(user, spec.namespace ?? '') ?? [])]
  const resourceRules = rules.filter((rule) => 'resources' in rule && (rule.resources?.length ?? 0) > 0).map((rule) => asJson(rule))
  const nonResourceRules = rules.filter((rule) => 'nonResourceURLs' in rule && (rule.nonResourceURLs?.length ?? 0) > 0).map((rule) => asJson({ verbs: rule.verbs, nonResourceURLs: 'nonResourceURLs' in rule ? rule.nonResourceURLs : [] }))
  return { ...body, status: { resourceRules, nonResourceRules, incomplete: false } }
}

function tokenReview(services: ReviewServices, body: JsonObject): JsonObject {
  const { spec } = body as unknown as TokenReview // cast: decoded by the schema
  const token = spec.token ?? ''
  if (token === '') throw badRequest('token is required for TokenReview in authentication')
  const audiences = spec.audiences ?? []
  const wanted = audiences.length > 0 ? audiences : services.serviceAccounts.options.apiAudiences
  const checked = services.serviceAccounts.check(token, wanted)
  let status: JsonObject
  if (checked.result === 'user') status = { authenticated: true, user: userInfo(checked.user), ...(audiences.length > 0 && { audiences: checked.audiences }) }
  else if (checked.result === 'invalid') status = { user: {}, error: `[invalid bearer token, ${checked.error}]` }
  else {
    const user = services.authenticator.tokenUser(token)
    status = user ? { authenticated: true, user: userInfo(user), ...(audiences.length > 0 && { audiences: wanted }) } : { user: {}, error: 'invalid bearer token' }
  }
  return { ...body, status }
}
