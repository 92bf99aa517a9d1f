// Puts the example's web server image together on this machine, so that a first cluster needs no registry: `k8ts.local/web:1` and `:2`, which
// differ in what they answer. Taken from a static busybox where there is one, else from our own Node binary and its shared libraries.
import { existsSync } from 'node:fs'
import { readFile, realpath } from 'node:fs/promises'
import { digestOf } from './image-store.ts'
import type { ImageStore } from './image-store.ts'
import { writeTar } from './tar-writer.ts'
import type { TarInput } from './tar-writer.ts'
import { runCommand, runSuccessfully } from '../../../lib/async/run-command.ts'

export const localImageNames = ['k8ts.local/web:1', 'k8ts.local/web:2'] as const

const passwd = 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home/web:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'
const group = 'root:x:0:\nweb:x:1000:\nnogroup:x:65534:\n'
const folders = ['bin', 'dev', 'etc', 'home', 'home/web', 'lib', 'lib64', 'proc', 'root', 'run', 'sbin', 'sys', 'tmp', 'usr', 'usr/bin', 'usr/sbin', 'var', 'var/run', 'var/www'] as const

/** The web server as a shell script: PID 1 has no default signal handlers, so it traps what asks it to stop. */
const shellServer = (version: string): string => `#!/bin/sh
# Answers with its own name, so that one sees which pod served a request.
port=\${PORT:-80}
folder=$(mktemp -d)
{ [ -n "$GREETING" ] && echo "$GREETING"; echo "web:${version} on $(hostname)"; } > "$folder/index.html"
echo ok > "$folder/healthz"
echo "web:${version} listens on port $port"
httpd -f -v -p "$port" -h "$folder" &
server=$!
trap 'kill $server; echo "web:${version} stops"; exit 0' TERM INT
wait $server
`

const nodeServer = (version: string): string => `const { createServer } = require('node:http')
const { hostname } = require('node:os')
const port = Number(process.env.PORT || 80)
const page = (process.env.GREETING ? process.env.GREETING + '\\n' : '') + 'web:${version} on ' + hostname() + '\\n'
const server = createServer((request, response) => {
  console.log(request.method + ' ' + request.url)
  const known = { '/': page, '/healthz': 'ok\\n' }[request.url]
  response.writeHead(known ? 200 : 404, { 'content-type': 'text/html' }).end(known || 'not found\\n')
})
server.listen(port, () => console.log('web:${version} listens on port ' + port))
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => { console.log('web:${version} stops'); process.exit(0) })
`

const folderEntry = (name: string): TarInput => ({ type: 'directory', name, mode: name === 'tmp' ? 0o1777 : 0o755 })
const textFile = (name: string, mode: number, content: string): TarInput => ({ type: 'file', name, mode, content: Buffer.from(content) })

async function busyboxLayer(busybox: string): Promise<TarInput[]> {
  const [content, { stdout }] = await Promise.all([readFile(busybox), runSuccessfully(busybox, ['--list'])])
  const applets = stdout.split('\n').filter((name) => /^[a-z0-9_[\]-]+$/i.test(name) && name !== 'busybox')
  return [{ type: 'file', name: 'bin/busybox', mode: 0o755, content }, ...applets.map((name): TarInput => ({ type: 'symlink', name: `bin/${name}`, linkName: 'busybox' }))]
}

async function nodeLayer(node: string): Promise<TarInput[]> {
  const { stdout } = await runSuccessfully('ldd', [node])
  const libraries = [...new Set([...stdout.matchAll(/(\/[^\s()]+)/g)].map((match) => match[1] ?? ''))]
  const entries: TarInput[] = [{ type: 'file', name: 'bin/node', mode: 0o755, content: await readFile(node) }]
  for (const library of libraries) entries.push({ type: 'file', name: library.startsWith('/lib64/') ? library.slice(1) : `lib/${library.split('/').at(-1)}`, mode: 0o755, content: await readFile(await realpath(library)) })
  return entries
}

/** True when the file is an executable without a dynamic loader. */
async function isStatic(path: string): Promise<boolean> {
  if (!existsSync(path)) return false
  const { code } = await runCommand('ldd', [path]).catch(() => ({ code: 1 }))
  return code !== 0
}

/** Adds both images unless they are there. Returns their names. */
export async function buildLocalImage(store: ImageStore, options: { readonly busyboxPath?: string; readonly nodePath: string }): Promise<readonly string[]> {
  if (localImageNames.every((name) => store.find(name))) return localImageNames
  const candidates = options.busyboxPath ? [options.busyboxPath] : ['/bin/busybox', '/usr/bin/busybox']
  let busybox: string | undefined
  for (const path of candidates) if (busybox === undefined && await isStatic(path)) busybox = path
  const base = [...folders.map(folderEntry), textFile('etc/passwd', 0o644, passwd), textFile('etc/group', 0o644, group), ...(busybox ? await busyboxLayer(busybox) : await nodeLayer(options.nodePath))]
  const baseTar = writeTar(base)
  const baseDiffId = digestOf(baseTar)
  for (const name of localImageNames) {
    const version = name.split(':').at(-1) ?? ''
    const ownTar = writeTar([busybox ? textFile('bin/web', 0o755, shellServer(version)) : textFile('bin/web.cjs', 0o644, nodeServer(version))])
    const diffIds = [baseDiffId, digestOf(ownTar)]
    const config = {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: busybox ? ['/bin/web'] : ['/bin/node', '/bin/web.cjs'], WorkingDir: '/',
        ExposedPorts: { '80/tcp': {} }, Labels: { 'org.opencontainers.image.version': version },
      },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }
    const configBytes = Buffer.from(JSON.stringify(config))
    const id = digestOf(configBytes)
    // The layers are stored unpacked only; their tar form stands in the manifest, as it does in an uncompressed image.
    const manifest = Buffer.from(JSON.stringify({
      schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: id, size: configBytes.length },
      layers: [baseTar, ownTar].map((tar, i) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: diffIds[i], size: tar.length })),
    }))
    using _claim = store.claim(diffIds)
    for (const [i, tar] of [baseTar, ownTar].entries()) await store.addLayer(diffIds[i] ?? '', async function* () { yield tar }, { durable: false })
    await store.addBlob(id, configBytes)
    await store.addBlob(digestOf(manifest), manifest)
    const repository = name.slice(0, name.lastIndexOf(':'))
    await store.addImage({ id, manifestDigest: digestOf(manifest), diffIds, config, sizeBytes: baseTar.length + ownTar.length, pinned: true }, [name, `${repository}@${digestOf(manifest)}`])
  }
  return localImageNames
}

