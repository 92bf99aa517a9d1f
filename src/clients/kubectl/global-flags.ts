// Flags that every kubectl command takes. Upstream: cli-runtime/pkg/genericclioptions/config_flags.go
import type { FlagSpecs } from '../../lib/component-base/flags.ts'

export const globalFlags = {
  as: { type: 'string', usage: 'Username to impersonate for the operation.' },
  'as-group': { type: 'strings', noSplit: true, usage: 'Group to impersonate for the operation; may be repeated.' },
  'as-uid': { type: 'string', usage: 'UID to impersonate for the operation.' },
  'cache-dir': { type: 'string', usage: 'Directory of the discovery cache.' },
  'certificate-authority': { type: 'string', usage: 'Path to the certificate of the authority.' },
  'client-certificate': { type: 'string', usage: 'Path to a client certificate for TLS.' },
  'client-key': { type: 'string', usage: 'Path to a client key for TLS.' },
  cluster: { type: 'string', usage: 'Name of the kubeconfig cluster to use.' },
  context: { type: 'string', usage: 'Name of the kubeconfig context to use.' },
  help: { type: 'bool', short: 'h', usage: 'Help for this command.' },
  'insecure-skip-tls-verify': { type: 'bool', usage: "Don't check the server's certificate. Insecure." },
  kubeconfig: { type: 'string', usage: 'Path to the kubeconfig file.' },
  'match-server-version': { type: 'bool', usage: 'Require the server version to match the client version.' },
  namespace: { type: 'string', short: 'n', usage: 'Namespace of this request.' },
  password: { type: 'string', usage: 'Password for basic authentication.' },
  'request-timeout': { type: 'string', default: '0', usage: 'How long to wait for one request; 0 waits without end.' },
  server: { type: 'string', short: 's', usage: 'Address and port of the API server.' },
  'tls-server-name': { type: 'string', usage: "Name to check the server's certificate against." },
  token: { type: 'string', usage: 'Bearer token for authentication.' },
  user: { type: 'string', usage: 'Name of the kubeconfig user to use.' },
  username: { type: 'string', usage: 'Username for basic authentication.' },
  v: { type: 'int', short: 'v', usage: 'Number for the log level verbosity.' },
  'warnings-as-errors': { type: 'bool', usage: 'Treat warnings from the server as errors.' },
} as const satisfies FlagSpecs
