// serviceaccount-token-controller: fills hand-made Secrets of type kubernetes.io/service-account-token, and removes those whose ServiceAccount is gone.
// Pods get their tokens through TokenRequest; these Secrets are for those who ask for a token that does not expire.
// Upstream: kubernetes/pkg/controller/serviceaccount/tokens_controller.go
import type { Secret, ServiceAccount } from '../../../lib/api/generated/types/core-v1.ts'
import { objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { secrets, serviceAccounts } from '../../../lib/client/resource-keys.ts'
import { inOrder, remove, update, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'

type SignToken = (claims: { readonly [claim: string]: string }) => string

export interface ObservedTokenSecret {
  readonly secret: Secret
  readonly account: ServiceAccount | undefined
  readonly rootCa: string
  readonly sign: SignToken
}

const secretType = 'kubernetes.io/service-account-token'
const accountAnnotation = 'kubernetes.io/service-account.name'
const accountUidAnnotation = 'kubernetes.io/service-account.uid'

export function syncTokenSecret({ secret, account, rootCa, sign }: ObservedTokenSecret): Plan {
  if (secret.type !== secretType || secret.metadata.deletionTimestamp !== undefined) return {}
  const name = secret.metadata.annotations?.[accountAnnotation]
  if (name === undefined) return {}
  const wantedUid = secret.metadata.annotations?.[accountUidAnnotation]
  if (!account || (wantedUid !== undefined && wantedUid !== account.metadata.uid)) return { steps: inOrder(remove(secrets, secret)) }
  const { namespace = '' } = secret.metadata
  const data = { ...secret.data }
  const ca = encodeBase64(rootCa)
  const space = encodeBase64(namespace)
  const complete = data['token'] !== undefined && data['namespace'] === space && (rootCa === '' || data['ca.crt'] === ca) && wantedUid === account.metadata.uid
  if (complete) return {}
  const token = data['token'] ?? encodeBase64(sign({
    iss: 'kubernetes/serviceaccount', sub: `system:serviceaccount:${namespace}:${name}`, 'kubernetes.io/serviceaccount/namespace': namespace,
    'kubernetes.io/serviceaccount/secret.name': secret.metadata.name, 'kubernetes.io/serviceaccount/service-account.name': name, 'kubernetes.io/serviceaccount/service-account.uid': account.metadata.uid,
  }))
  return {
    steps: inOrder(update(secrets, {
      ...secret, metadata: { ...secret.metadata, annotations: { ...secret.metadata.annotations, [accountUidAnnotation]: account.metadata.uid } },
      data: { ...data, token, namespace: space, ...(rootCa === '' ? {} : { 'ca.crt': ca }) },
    })),
  }
}

/** Standard base64 of the text's UTF-8. */
export function encodeBase64(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

export function createServiceAccountTokenController(settings: { readonly rootCa: string, readonly signToken: SignToken | undefined }): Controller<ObservedTokenSecret> | undefined {
  const sign = settings.signToken
  if (!sign) return undefined
  return {
    name: 'serviceaccount-token-controller',
    watches: [
      watch({
        resource: secrets, options: { fieldSelector: `type=${secretType}` },
        indexes: { account: (secret) => [`${secret.metadata.namespace ?? ''}/${secret.metadata.annotations?.[accountAnnotation] ?? ''}`] }, keysOf: (secret) => [objectKey(secret)],
      }),
      watch({ resource: serviceAccounts, keysOf: (account, view) => view.byIndex(secrets, 'account', objectKey(account)).map(objectKey) }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const secret = view.get(secrets, namespace, name)
      return secret && { secret, account: view.get(serviceAccounts, namespace, secret.metadata.annotations?.[accountAnnotation] ?? ''), rootCa: settings.rootCa, sign }
    },
    sync: syncTokenSecret,
  }
}
