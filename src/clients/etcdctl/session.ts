// What a command works with: its input and output, the global settings, connections, time. The settings are read when a connection is first
// needed, so that mistakes in the command's own arguments are told first, as the original does.
import { readFileSync } from 'node:fs'
import { getServers, resolveSrv } from 'node:dns/promises'
import type { Clock } from '../../lib/base/clock.ts'
import type { FlagSpecs } from '../../lib/component-base/flags.ts'
import type { ClientTls } from '../../lib/net/grpc/grpc-channel.ts'
import { ExitError, exitCodes } from './command.ts'
import { describeCallError, EtcdConnection, type Credentials } from './client/etcd-connection.ts'
import { goDuration } from './go-format.ts'
import { globalFlags, readEnvironment, type Environment, type GlobalFlagValues } from './global-flags.ts'
import { isOutputFormat, printers, type OutputFormat } from './printers/index.ts'
import { UnsupportedFormat, type Printable } from './printers/printable.ts'
import { askPassword, nextLine, readLines } from './terminal.ts'

export interface SessionOptions {
  readonly flags: { readonly [name: string]: unknown }
  readonly given: ReadonlySet<string>
  /** The flags' declarations: the global ones and those of the command's parents. */
  readonly inheritedFlags: FlagSpecs
  /** Everything on the command line. */
  readonly commandLine: readonly string[]
  readonly environment: Environment
  readonly clock: Clock
  /** Opens standard input: only when it is needed, because it keeps the program running. */
  openStdin(): NodeJS.ReadStream
  out(data: string | Uint8Array): void
  err(text: string): void
}

interface Settings {
  readonly flags: GlobalFlagValues
  readonly endpoints: readonly string[]
  readonly credentials: Credentials
  readonly format: OutputFormat
}

export interface TlsFiles { readonly cert: string; readonly key: string; readonly cacert: string; readonly insecureTransport: boolean; readonly skipVerify: boolean; readonly serverName?: string }

export class Session implements Disposable {
  readonly clock: Clock
  readonly environment: Environment
  readonly commandLine: readonly string[]
  readonly #options: SessionOptions
  readonly #resources = new DisposableStack()
  readonly #closing = new AbortController()
  #settings: Promise<Settings> | undefined
  #stdin: NodeJS.ReadStream | undefined
  #input: AsyncGenerator<Buffer> | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    this.clock = options.clock
    this.environment = options.environment
    this.commandLine = options.commandLine
  }

  /** Aborted when the program ends: for what goes on beside the command. */
  get closing(): AbortSignal { return this.#closing.signal }

  get stdin(): NodeJS.ReadStream {
    this.#stdin ??= this.#options.openStdin()
    return this.#stdin
  }

  out(data: string | Uint8Array): void { this.#options.out(data) }
  err(text: string): void { this.#options.err(text) }

  /** One line of the log, in the JSON form that the original writes to standard error. */
  log(level: 'info' | 'warn' | 'fatal', message: string, values: { readonly [name: string]: unknown }, logger?: string): void {
    this.err(`${JSON.stringify({ level, ts: new Date(this.clock.now()).toISOString(), ...(logger ? { logger } : {}), msg: message, ...values })}\n`)
  }

  /** @throws ExitError */
  settings(): Promise<Settings> {
    this.#settings ??= this.#readSettings()
    return this.#settings
  }

  async #readSettings(): Promise<Settings> {
    const { given, inheritedFlags } = this.#options
    const reading = readEnvironment(this.environment, inheritedFlags, given)
    if (reading.conflict !== undefined) {
      this.log('fatal', 'conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))', { 'environment-variable': reading.conflict })
      throw new ExitError(exitCodes.error, '')
    }
    for (const variable of reading.unrecognized) this.log('warn', 'unrecognized environment variable', { 'environment-variable': variable })
    const flags = { ...this.#options.flags, ...reading.values } as GlobalFlagValues // cast: read by the declarations of the global flags
    if (flags.debug) for (const name of Object.keys(globalFlags).sort()) this.err(`ETCDCTL_${name.toUpperCase().replaceAll('-', '_')}=${shownValue(name, flags[name as keyof GlobalFlagValues])}\n`) // cast: one of the global flags' names
    const endpoints = await this.#endpointsOf(flags)
    for (const name of ['cert', 'key', 'cacert'] as const) if (flags[name] === '' && given.has(name)) throw new ExitError(exitCodes.badArguments, `empty string is passed to --${name} option`)
    const credentials = await this.credentialsOf(flags.user, flags.password, flags['auth-jwt-token'], 'Password: ')
    const format = flags['write-out']
    if (!isOutputFormat(format)) throw new ExitError(exitCodes.badFeature, 'unsupported output format')
    return { flags, endpoints, credentials, format }
  }

  /** @throws ExitError when interrupted */
  async askPassword(prompt: string): Promise<string> {
    const password = await askPassword(this.stdin, this.#lines(), (text) => this.out(text), prompt)
    if (password === undefined) throw new ExitError(exitCodes.interrupted, 'interrupted')
    return password
  }

  /** The next line of standard input; undefined at its end. */
  async nextLine(): Promise<Buffer | undefined> { return await nextLine(this.#lines()) }

  #lines(): AsyncGenerator<Buffer> {
    this.#input ??= readLines(this.stdin)
    return this.#input
  }

  /** A name with its password; asks for the password when there is none. */
  async credentialsOf(user: string, password: string, token: string, prompt: string): Promise<Credentials> {
    if (token) return { token }
    if (!user) return {}
    if (password) return { user, password }
    const at = user.indexOf(':')
    if (at >= 0) return { user: user.slice(0, at), password: user.slice(at + 1) }
    return { user, password: await this.askPassword(prompt) }
  }

  async #endpointsOf(flags: GlobalFlagValues): Promise<readonly string[]> {
    const domain = flags['discovery-srv']
    if (domain) {
      const found = await discoverEndpoints(domain, flags['discovery-srv-name'])
      const kept = flags['insecure-discovery'] ? found : found.filter((endpoint) => {
        const insecure = endpoint.startsWith('http://')
        if (insecure) this.err(`ignoring discovered insecure endpoint "${endpoint}"\n`)
        return !insecure
      })
      if (kept.length > 0) return kept
    }
    return flags.endpoints.map((endpoint) => endpoint.trim())
  }

  /** @param endpoints other ones than the settings have. @throws ExitError */
  async connect(endpoints?: readonly string[]): Promise<EtcdConnection> {
    const { flags, endpoints: configured, credentials } = await this.settings()
    const serverName = flags['insecure-discovery'] ? '' : flags['discovery-srv']
    const tls = readTls({
      cert: flags.cert, key: flags.key, cacert: flags.cacert, insecureTransport: flags['insecure-transport'], skipVerify: flags['insecure-skip-tls-verify'], ...(serverName ? { serverName } : {}),
    })
    return await this.connectTo(endpoints ?? configured, credentials, tls)
  }

  async connectTo(endpoints: readonly string[], credentials: Credentials, tls: ClientTls | undefined): Promise<EtcdConnection> {
    const { flags } = await this.settings()
    if (endpoints.length === 0) throw new ExitError(exitCodes.badConnection, 'etcdclient: no available endpoints')
    const { 'max-recv-bytes': maxReceiveBytes, 'max-request-bytes': maxSendBytes } = flags
    if (maxReceiveBytes > 0 && maxSendBytes > maxReceiveBytes) {
      throw new ExitError(exitCodes.badConnection, `gRPC message recv limit (${maxReceiveBytes} bytes) must be greater than send limit (${maxSendBytes} bytes)`)
    }
    const connection = this.#resources.use(new EtcdConnection({
      endpoints, clock: this.clock, dialTimeoutMs: flags['dial-timeout'], keepAliveMs: flags['keepalive-time'], ...(tls ? { tls } : {}),
      ...(maxReceiveBytes > 0 ? { maxReceiveBytes } : {}), ...(maxSendBytes > 0 ? { maxSendBytes } : {}),
      onFailure: (method, error) => this.log('warn', 'retrying of unary invoker failed', { target: `etcd-endpoints://${endpoints[0] ?? ''}`, method, attempt: 0, error: `rpc error: code = ${error.code} desc = ${error.message}` }, 'etcd-client'),
    }))
    try {
      await connection.authenticate(credentials, this.deadline(flags['dial-timeout']))
    } catch (error) {
      throw new ExitError(exitCodes.badConnection, describeCallError(error), { cause: error })
    }
    return connection
  }

  /** Aborted after this time. */
  deadline(timeoutMs: number): AbortSignal {
    const controller = new AbortController()
    this.#resources.use(this.clock.setTimer(timeoutMs, () => controller.abort(new DOMException('context deadline exceeded', 'TimeoutError')), { keepAlive: true }))
    return controller.signal
  }

  /** A signal for calls that last as long as `--command-timeout` says. */
  async commandDeadline(): Promise<AbortSignal> { return this.deadline((await this.settings()).flags['command-timeout']) }

  /** Writes an answer in the format of `-w`. @throws ExitError */
  async print(printable: Printable): Promise<void> {
    const { format, flags } = await this.settings()
    try {
      const printed = printers[format](printable, { hex: flags.hex })
      const pieces = printed.out.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))
      if (pieces.length > 0) this.out(Buffer.concat(pieces))
      if (printed.err) this.err(printed.err)
    } catch (error) {
      if (error instanceof UnsupportedFormat) throw new ExitError(exitCodes.badFeature, error.message)
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error('the program ends'))
    this.#resources[Symbol.dispose]()
    this.#stdin?.destroy()
  }
}

/** A flag's value as Go prints it. */
function shownValue(name: string, value: unknown): string {
  if (Array.isArray(value)) return `[${value.join(',')}]`
  return typeof value === 'number' && /-(?:timeout|time)$/.test(name) ? goDuration(value) : String(value)
}

/** TLS for a client, from files; undefined when nothing asks for it. @throws ExitError */
export function readTls(files: TlsFiles): ClientTls | undefined {
  const { cert, key, cacert, serverName } = files
  if ((cert === '') !== (key === '')) throw new ExitError(exitCodes.badArguments, `KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`)
  const configured = cert !== '' || cacert !== '' || serverName !== undefined
  if (!configured && files.insecureTransport && !files.skipVerify) return undefined
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (error) {
      const code = (error as { readonly code?: string }).code // cast: errors of the file system have a code
      const why = code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'is a directory' : String(code)
      throw new ExitError(exitCodes.badArguments, `open ${path}: ${why}`, { cause: error })
    }
  }
  return { ...(cert ? { cert: read(cert), key: read(key) } : {}), ...(cacert ? { ca: read(cacert) } : {}), ...(serverName ? { serverName } : {}), ...(files.skipVerify ? { insecureSkipVerify: true } : {}) }
}

/** Endpoints that a domain's SRV records name: `_etcd-client-ssl._tcp` over TLS first, then `_etcd-client._tcp`. Upstream: client/pkg/srv */
async function discoverEndpoints(domain: string, serviceName: string): Promise<readonly string[]> {
  const suffix = serviceName ? `-${serviceName}` : ''
  const problems: string[] = []
  const lookUp = async (service: string, scheme: string): Promise<readonly string[]> => {
    try {
      return (await resolveSrv(`_${service}._tcp.${domain}`)).map((record) => `${scheme}://${record.name.replace(/\.$/, '')}:${record.port}`)
    } catch (error) {
      problems.push(`lookup _${service}._tcp.${domain} on ${getServers()[0] ?? ''}:53: ${describeLookup(error)}`)
      return []
    }
  }
  const found = [...await lookUp(`etcd-client-ssl${suffix}`, 'https'), ...await lookUp(`etcd-client${suffix}`, 'http')]
  if (found.length === 0 && problems.length === 2) throw new ExitError(exitCodes.error, `dns lookup errors: ${problems.join(' and ')}`)
  return found
}

function describeLookup(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message?: string } // cast: errors of DNS have these
  if (code === 'ENOTFOUND' || code === 'ENODATA') return 'no such host'
  return code === 'ETIMEOUT' ? 'i/o timeout' : String(message)
}
