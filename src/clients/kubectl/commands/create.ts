// kubectl create: objects from files, and the generators for simple kinds; more of them are in create-more.ts. Upstream: kubectl/pkg/cmd/create
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { externalNameService, moreGenerators } from './create-more.ts'
import { createObjects, generator, oneName, outputFlags } from './create-objects.ts'

interface DataFlags { readonly 'from-literal': readonly string[]; readonly 'from-file': readonly string[]; readonly 'from-env-file': readonly string[] }

/** Entries from `--from-literal`, `--from-file` and `--from-env-file`. */
function readEntries(flags: DataFlags): ReadonlyMap<string, Buffer> {
  const entries = new Map<string, Buffer>()
  const put = (key: string, value: Buffer): void => {
    if (entries.has(key)) throw new KubectlError(`cannot add key ${JSON.stringify(key)}, another key by that name already exists`)
    entries.set(key, value)
  }
  for (const literal of flags['from-literal']) {
    const at = literal.indexOf('=')
    if (at <= 0) throw new KubectlError(`invalid literal source ${literal}, expected key=value`)
    put(literal.slice(0, at), Buffer.from(literal.slice(at + 1).replace(/^(["'])(.*)\1$/s, '$2')))
  }
  for (const source of flags['from-file']) {
    const at = source.indexOf('=')
    const path = at < 0 ? source : source.slice(at + 1)
    let folder = false
    try { folder = statSync(path).isDirectory() } catch { throw new KubectlError(`error reading ${path}: no such file or directory`) }
    if (folder) for (const entry of readdirSync(path, { withFileTypes: true })) { if (entry.isFile()) put(entry.name, readFileSync(join(path, entry.name))) }
    else put(at < 0 ? basename(path) : source.slice(0, at), readFileSync(path))
  }
  for (const path of flags['from-env-file']) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const text = line.trimStart()
      if (text === '' || text.startsWith('#')) continue
      const at = text.indexOf('=')
      put(at < 0 ? text : text.slice(0, at), Buffer.from(at < 0 ? (process.env[text] ?? '') : text.slice(at + 1)))
    }
  }
  return entries
}

const dataFlags = { 'from-literal': { type: 'strings', noSplit: true, usage: 'Key and value: key=value.' }, 'from-file': { type: 'strings', usage: 'Key from a file: [key=]path.' }, 'from-env-file': { type: 'strings', usage: 'File of key=value lines.' } } as const

export const createCommand = defineCommand({
  name: 'create', group: 'Basic Commands (Beginner)', short: 'Create a resource from a file or from stdin', usage: '-f FILENAME [options]',
  flags: { ...outputFlags, filename: { type: 'strings', short: 'f', usage: 'Files, folders or - for standard input.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, raw: { type: 'string', usage: 'Path to POST the file to, as it is.' } },
  subcommands: [
    generator('namespace', ['ns'], 'Create a namespace with the specified name', 'NAME', {}, (args) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: oneName(args, 'namespace') } })),
    generator('configmap', ['cm'], 'Create a config map from a local file, directory or literal value', 'NAME [--from-file=[key=]source] [--from-literal=key1=value1]', dataFlags, (args, flags) => {
      const entries = [...readEntries(flags as unknown as DataFlags)] // cast: parsed by dataFlags
      const texts = entries.filter(([, v]) => Buffer.from(v.toString('utf8')).equals(v))
      const binary = entries.filter(([, v]) => !Buffer.from(v.toString('utf8')).equals(v))
      return { apiVersion: 'v1', ...(texts.length > 0 ? { data: Object.fromEntries(texts.map(([k, v]) => [k, v.toString('utf8')])) } : {}), ...(binary.length > 0 ? { binaryData: Object.fromEntries(binary.map(([k, v]) => [k, v.toString('base64')])) } : {}), kind: 'ConfigMap', metadata: { name: oneName(args, 'configmap') } }
    }),
    defineCommand({
      name: 'secret', short: 'Create a secret using a specified subcommand', usage: '(docker-registry | generic | tls)', flags: {},
      subcommands: [
        generator('generic', [], 'Create a secret from a local file, directory, or literal value', 'NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1]', { ...dataFlags, type: { type: 'string', usage: 'Type of the secret.' } }, (args, flags) => {
          const { type } = flags as unknown as { type: string } // cast: parsed by the specs
          return { apiVersion: 'v1', data: Object.fromEntries([...readEntries(flags as unknown as DataFlags)].map(([k, v]) => [k, v.toString('base64')])), kind: 'Secret', metadata: { name: oneName(args, 'secret generic') }, ...(type ? { type } : {}) } // cast: parsed by dataFlags
        }),
        generator('tls', [], 'Create a TLS secret', 'NAME --cert=path/to/cert/file --key=path/to/key/file', { cert: { type: 'string', usage: 'Path to the certificate.' }, key: { type: 'string', usage: 'Path to the key.' } }, (args, flags) => {
          const { cert, key } = flags as unknown as { cert: string; key: string } // cast: parsed by the specs
          if (!cert || !key) throw new KubectlError('key and cert must be specified')
          return { apiVersion: 'v1', data: { 'tls.crt': readFileSync(cert).toString('base64'), 'tls.key': readFileSync(key).toString('base64') }, kind: 'Secret', metadata: { name: oneName(args, 'secret tls') }, type: 'kubernetes.io/tls' }
        }),
        generator('docker-registry', [], 'Create a secret for use with a Docker registry', 'NAME --docker-username=user --docker-password=password', { 'docker-server': { type: 'string', default: 'https://index.docker.io/v1/', usage: 'Server.' }, 'docker-username': { type: 'string', usage: 'User.' }, 'docker-password': { type: 'string', usage: 'Password.' }, 'docker-email': { type: 'string', usage: 'Mail address.' } }, (args, flags) => {
          const f = flags as unknown as { [name: string]: string } // cast: parsed by the specs
          const auth = { username: f['docker-username'], password: f['docker-password'], ...(f['docker-email'] ? { email: f['docker-email'] } : {}), auth: Buffer.from(`${f['docker-username']}:${f['docker-password']}`).toString('base64') }
          return { apiVersion: 'v1', data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [f['docker-server'] ?? '']: auth } })).toString('base64') }, kind: 'Secret', metadata: { name: oneName(args, 'secret docker-registry') }, type: 'kubernetes.io/dockerconfigjson' }
        }),
      ],
    }),
    generator('serviceaccount', ['sa'], 'Create a service account with the specified name', 'NAME', {}, (args) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: oneName(args, 'serviceaccount') } })),
    generator('deployment', ['deploy'], 'Create a deployment with the specified name', 'NAME --image=image -- [COMMAND] [args...]', { image: { type: 'strings', usage: 'Image names.' }, port: { type: 'int', default: -1, usage: 'Port that the container exposes.' }, replicas: { type: 'int', short: 'r', default: 1, usage: 'Number of replicas.' } }, (args, flags, _context, argsBeforeDash) => {
      const f = flags as unknown as { image: readonly string[]; port: number; replicas: number } // cast: parsed by the specs
      if (f.image.length === 0) throw new KubectlError('required flag(s) "image" not set')
      const name = oneName(args.slice(0, argsBeforeDash), 'deployment')
      const command = args.slice(argsBeforeDash)
      const containers = f.image.map((image, i) => ({ ...(command.length > 0 ? { command } : {}), image, name: (image.split('/').at(-1) ?? image).split(/[:@]/)[0] ?? image, ...(f.port > 0 && i === 0 ? { ports: [{ containerPort: f.port }] } : {}), resources: {} }))
      return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { labels: { app: name }, name }, spec: { replicas: f.replicas, selector: { matchLabels: { app: name } }, strategy: {}, template: { metadata: { labels: { app: name } }, spec: { containers } } }, status: {} }
    }),
    defineCommand({
      name: 'service', aliases: ['svc'], short: 'Create a service using a specified subcommand', usage: '(clusterip | externalname | loadbalancer | nodeport)', flags: {},
      subcommands: [...(['clusterip', 'nodeport', 'loadbalancer'] as const).map((type) => generator(type, [], `Create a ${type} service`, 'NAME [--tcp=<port>:<targetPort>]', { tcp: { type: 'strings', usage: 'Port pairs: port:targetPort.' }, 'node-port': { type: 'int', usage: 'Node port.' }, clusterip: { type: 'string', usage: "The cluster IP, or 'None'." } }, (args, flags) => {
        const f = flags as unknown as { tcp: readonly string[]; 'node-port': number; clusterip: string } // cast: parsed by the specs
        const name = oneName(args, `service ${type}`)
        if (f.tcp.length === 0 && f.clusterip !== 'None') throw new KubectlError('at least one tcp port specifier must be provided')
        const ports = f.tcp.map((pair) => { const [port = '', target = port] = pair.split(':'); return { name: pair.replace(':', '-'), port: Number(port), protocol: 'TCP', targetPort: /^\d+$/.test(target) ? Number(target) : target, ...(f['node-port'] ? { nodePort: f['node-port'] } : {}) } })
        return { apiVersion: 'v1', kind: 'Service', metadata: { labels: { app: name }, name }, spec: { ...(f.clusterip ? { clusterIP: f.clusterip } : {}), ...(ports.length > 0 ? { ports } : {}), selector: { app: name }, type: type === 'clusterip' ? 'ClusterIP' : type === 'nodeport' ? 'NodePort' : 'LoadBalancer' }, status: { loadBalancer: {} } }
      })), externalNameService],
    }),
    ...moreGenerators,
  ],
  async run(context, { flags, args }) {
    if (args.length > 0) throw new UsageError(`Unexpected args: [${args.join(' ')}]`, 'create')
    if (flags.filename.length === 0) throw new KubectlError('must specify one of -f and -k')
    const manifests = await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })
    if (manifests.length === 0) throw new KubectlError('no objects passed to create')
    return createObjects(context, manifests.map((m) => m.object), flags)
  },
})
