// Gives each controller the rights of a service account of its own in kube-system: makes the account, asks for a token, renews it before it ends.
// Upstream: k8s.io/controller-manager/pkg/clientbuilder/client_builder_dynamic.go
import type { Clock } from '../../../lib/base/clock.ts'
import type { ApiClient } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { createHttpTransport } from '../../../lib/client/http-transport.ts'
import type { HttpTransport, HttpTransportOptions } from '../../../lib/client/http-transport.ts'
import { createApiClient } from '../../../lib/client/resource-client.ts'
import { serviceAccounts } from '../../../lib/client/resource-keys.ts'
import type { ApiRequest, ApiResponse, ApiTransport } from '../../../lib/client/transport.ts'
import type { Logger } from '../../../lib/component-base/log.ts'

export interface ServiceAccountClientsOptions {
  /** The controller manager's own client. */
  readonly client: ApiClient
  readonly connection: HttpTransportOptions
  readonly clock: Clock
  readonly userAgent: string
  readonly logger: Logger
}

export interface ServiceAccountClients extends Disposable { clientFor(serviceAccount: string): ApiClient }

const namespace = 'kube-system'
const lifetimeSeconds = 3600
/** A token is renewed when this much of its life is over. */
const renewAfter = 0.8

export function createServiceAccountClients(options: ServiceAccountClientsOptions, signal: AbortSignal): ServiceAccountClients {
  const transports = new Map<string, AccountTransport>()
  return {
    clientFor(name) {
      let transport = transports.get(name)
      if (!transport) transports.set(name, transport = new AccountTransport(name, options, signal))
      return createApiClient(transport, { userAgent: `${options.userAgent}/${name}` })
    },
    [Symbol.dispose]() { for (const transport of transports.values()) transport[Symbol.dispose]() },
  }
}

class AccountTransport implements ApiTransport, Disposable {
  readonly #name: string
  readonly #options: ServiceAccountClientsOptions
  readonly #signal: AbortSignal
  #current: { readonly transport: HttpTransport, readonly renewAtMs: number } | undefined
  #asking: Promise<HttpTransport> | undefined

  constructor(name: string, options: ServiceAccountClientsOptions, signal: AbortSignal) { this.#name = name; this.#options = options; this.#signal = signal }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const fresh = this.#current && this.#options.clock.monotonic() < this.#current.renewAtMs ? this.#current.transport : await (this.#asking ??= this.#renew())
    return fresh.request(request)
  }

  /** A new token on a new connection; the old one ends with its requests. */
  async #renew(): Promise<HttpTransport> {
    try {
      const { client, connection, clock } = this.#options
      const resource = client.resource(serviceAccounts)
      try {
        await resource.create(namespace, { metadata: { name: this.#name, namespace } }, this.#signal)
      } catch (error) {
        if (!hasReason(error, 'AlreadyExists')) throw error
      }
      const answer = await resource.createSubresource(namespace, this.#name, 'token', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: lifetimeSeconds } }, this.#signal)
      const { token } = answer['status'] as { readonly token: string } // cast: a TokenRequest's status
      const { clientCertificate: _certificate, clientKey: _key, tokenFile: _file, username: _user, password: _password, ...rest } = connection
      const transport = createHttpTransport({ ...rest, token })
      const old = this.#current?.transport
      this.#current = { transport, renewAtMs: clock.monotonic() + lifetimeSeconds * 1000 * renewAfter }
      if (old) clock.setTimer(60_000, () => old[Symbol.dispose](), { keepAlive: false })
      return transport
    } finally {
      this.#asking = undefined
    }
  }

  [Symbol.dispose](): void { this.#current?.transport[Symbol.dispose]() }
}
