// Run by container-runtime-streams.test.ts inside a network and mount namespace: `node container-runtime-inside.ts <folder> <cgroup>`.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { WebSocket } from 'ws'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { CriError } from '../../src/lib/cri-api/cri-services.ts'
import type { ContainerConfig } from '../../src/lib/cri-api/generated/types.ts'
import { startContainerRuntime } from '../../src/worker-node/container-runtime/container-runtime.ts'
import { writeTar } from '../../src/worker-node/container-runtime/images/tar-writer.ts'

const [dir = '', cgroup = ''] = process.argv.slice(2)
const signal = new AbortController().signal
const engine = await startContainerRuntime({
  rootDir: join(dir, 'root'), runDir: join(dir, 'run'), clock: realClock, random: realRandom, logger: silentLogger, podCidr: '10.233.5.0/24', clusterCidrs: ['10.233.0.0/16'], cgroupParent: cgroup,
}, signal)
const { runtime, images, streams } = engine
await images.pullImage({ image: { image: 'k8ts.local/web:2' } }, signal) // made, not pulled
const { podSandboxId = '' } = await runtime.runPodSandbox({ config: { metadata: { name: 'pod', namespace: 'default', uid: 'u' }, hostname: 'pod', linux: { cgroupParent: `${cgroup}/pod` } } }, signal)
after(async () => { await engine.tearDown(signal) })

let names = 0
async function runContainer(image: string, command: readonly string[], changes: Partial<ContainerConfig> = {}): Promise<string> {
  const config: ContainerConfig = { metadata: { name: `c${++names}` }, image: { image }, command, linux: { securityContext: { namespaceOptions: { pid: 'CONTAINER' } } }, ...changes }
  const { containerId = '' } = await runtime.createContainer({ podSandboxId, config }, signal)
  await runtime.startContainer({ containerId }, signal)
  return containerId
}
const web = await runContainer('k8ts.local/web:2', [])

/** Reads until the text appears. */
async function readUntil(stream: Readable, wanted: RegExp): Promise<string> {
  let seen = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    seen += String(chunk)
    if (wanted.test(seen)) return seen
  }
  throw new Error(`the stream ended after ${JSON.stringify(seen)}`)
}

test('exec over pipes: stdin, both outputs, exit code, large data', async () => {
  await using process = await streams.openExec({ containerId: web, command: ['sh', '-c', 'cat; echo done >&2; exit 5'], tty: false, stdin: true }, signal)
  const data = Buffer.alloc(3_000_000, 'abcdefgh\n')
  process.stdin?.end(data)
  const [out, err, exit] = await Promise.all([buffer(process.stdout), text(process.stderr ?? process.stdout), process.exit])
  assert.ok(out.equals(data))
  assert.deepEqual([err, exit], ['done\n', { exitCode: 5 }])
})

test('exec: a program that does not exist is an error; leaving ends the process', async () => {
  await using missing = await streams.openExec({ containerId: web, command: ['no-such-program'], tty: false, stdin: false }, signal)
  missing.stdout.resume()
  missing.stderr?.resume()
  await assert.rejects(missing.exit, (error) => error instanceof CriError && /no-such-program/.test(error.message))
  const sleeper = await streams.openExec({ containerId: web, command: ['sleep', '4321'], tty: false, stdin: false }, signal)
  const ps = async (): Promise<string> => Buffer.from((await runtime.execSync({ containerId: web, cmd: ['ps'] }, signal)).stdout ?? []).toString()
  while (!(await ps()).includes('sleep 4321')) { /* until it runs */ }
  await sleeper[Symbol.asyncDispose]()
  assert.ok(!(await ps()).includes('sleep 4321'))
})

test('exec with a terminal: echo, size, resize, exit code', async () => {
  await using process = await streams.openExec({ containerId: web, command: ['sh'], tty: true, stdin: true, size: { width: 100, height: 30 } }, signal)
  process.stdin?.write('stty size; tty; echo TERM=$TERM\n')
  assert.match(await readUntil(process.stdout, /TERM=xterm/), /30 100\r\n\/dev\/pts\/\d\r\n/)
  process.resize({ width: 77, height: 22 })
  process.stdin?.write('stty size\n')
  await readUntil(process.stdout, /22 77/)
  process.stdin?.end('sleep 0.05; echo still here; exit 6\n')
  await readUntil(process.stdout, /\r\nstill here/)
  process.stdout.resume()
  assert.deepEqual(await process.exit, { exitCode: 6 })
})

test('exec with a terminal: nothing that was said last is lost, however busy the machine', async () => {
  // More than one buffer of the terminal, and the process is gone at once.
  const lines = 600
  const once = async (n: number): Promise<void> => {
    await using process = await streams.openExec({ containerId: web, command: ['sh', '-c', `yes "line of run ${n}" | head -n ${lines}; exit 7`], tty: true, stdin: false, size: { width: 80, height: 24 } }, signal)
    const said = await text(process.stdout)
    assert.deepEqual([said.split('\r\n').length - 1, await process.exit], [lines, { exitCode: 7 }], said.slice(-200))
  }
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 6 }, (_, n) => once(n)))
})

test('attach: output from now on, stdin, end with the container', async () => {
  const id = await runContainer('k8ts.local/web:1', ['sh', '-c', 'while read line; do echo "got $line"; echo "err $line" >&2; [ "$line" = end ] && exit 4; done'], { stdin: true })
  await using process = await streams.openAttach({ containerId: id, tty: false, stdin: true }, signal)
  process.stdin?.write('one\n')
  await readUntil(process.stdout, /got one\n/)
  process.stdin?.write('end\n')
  const [out, err] = await Promise.all([text(process.stdout), text(process.stderr ?? process.stdout)])
  assert.deepEqual([out, err], ['got end\n', 'err one\nerr end\n'])
  assert.deepEqual(await process.exit, { exitCode: 4 })
  const terminal = await runContainer('k8ts.local/web:1', ['sh'], { stdin: true, tty: true })
  await using shell = await streams.openAttach({ containerId: terminal, tty: true, stdin: true }, signal)
  shell.resize({ width: 90, height: 33 })
  shell.stdin?.write('sleep 0.1; stty size\n')
  await readUntil(shell.stdout, /33 90/)
})

test('port-forward reaches what listens in the pod, and says when nobody does', async () => {
  const request = async (): Promise<string> => {
    const connection = await streams.openPortForward({ podSandboxId, port: 80 }, signal)
    connection.end('GET / HTTP/1.0\r\n\r\n')
    return text(connection)
  }
  let answer = ''
  for (let i = 0; i < 100 && answer === ''; i++) answer = await request().catch(() => '')
  assert.match(answer, /web:2 on pod\n$/)
  await assert.rejects(streams.openPortForward({ podSandboxId, port: 4 }, signal), (error) => error instanceof CriError && error.code === 'Unavailable')
})

test('the streaming server: exec by WebSocket, each URL once', async () => {
  const { url = '' } = await runtime.exec({ containerId: web, cmd: ['sh', '-c', 'cat; exit 9'], stdin: true, stdout: true, stderr: true }, signal)
  const socket = new WebSocket(url.replace('http', 'ws'), 'v5.channel.k8s.io')
  const channels = ['', '', '', '']
  socket.on('message', (data: Buffer) => { channels[data[0] ?? 0] += data.toString('utf8', 1) })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(Buffer.concat([Buffer.of(0), Buffer.from('hello')]))
  socket.send(Buffer.of(255, 0))
  await new Promise((resolve) => socket.once('close', resolve))
  assert.equal(channels[1], 'hello')
  assert.deepEqual(JSON.parse(channels[3] ?? '').details.causes, [{ reason: 'ExitCode', message: '9' }])
  assert.equal((await fetch(url)).status, 404)
})

test('pods get their network from CNI plugins when a configuration is there', { skip: existsSync('/usr/lib/cni/bridge') ? false : 'needs containernetworking-plugins' }, async () => {
  const configDir = join(dir, 'cni')
  mkdirSync(configDir)
  const bridge = { type: 'bridge', bridge: 'cni-test', isGateway: true, hairpinMode: true, ipam: { type: 'host-local', dataDir: join(dir, 'ipam'), ranges: [[{ subnet: '10.234.0.0/24' }]] } }
  writeFileSync(join(configDir, '10-test.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'test', plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }] }))
  await using other = await startContainerRuntime({
    rootDir: join(dir, 'root2'), runDir: join(dir, 'run2'), clock: realClock, random: realRandom, logger: silentLogger, cgroupParent: `${cgroup}/cni`, cni: { configDir, binDirs: ['/usr/lib/cni'] },
  }, signal)
  const pod = await other.runtime.runPodSandbox({ config: { metadata: { name: 'pod', namespace: 'default', uid: 'u' }, linux: { securityContext: { namespaceOptions: { pid: 'CONTAINER' } } } } }, signal)
  const { status } = await other.runtime.podSandboxStatus(pod, signal)
  assert.equal(status?.network?.ip, '10.234.0.2')
  assert.equal(spawnSync('ping', ['-c1', '-W2', '10.234.0.2']).status ?? 0, 0)
  await other.tearDown(signal)
  assert.deepEqual(readdirSync(join(dir, 'ipam/test')).filter((name) => name.startsWith('10.')), [], 'the address was given back')
  spawnSync('ip', ['link', 'del', 'cni-test'])
})

// An image whose layers use everything: deletions, an emptied folder, hard links, symlinks, owners, modes, gzip and zstd.
const digest = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const lower = writeTar([
  { type: 'directory', name: 'bin', mode: 0o755 }, { type: 'file', name: 'bin/busybox', mode: 0o755, content: readFileSync(spawnSync('which', ['busybox'], { encoding: 'utf8' }).stdout.trim()) },
  { type: 'symlink', name: 'bin/sh', linkName: 'busybox' }, { type: 'directory', name: 'kept', mode: 0o700 }, { type: 'file', name: 'kept/old', mode: 0o644, content: Buffer.from('old') },
  { type: 'file', name: 'gone', mode: 0o644, content: Buffer.from('gone') }, { type: 'directory', name: 'emptied', mode: 0o755 }, { type: 'file', name: 'emptied/a', mode: 0o644, content: Buffer.from('a') },
])
const upper = writeTar([
  { type: 'file', name: '.wh.gone', mode: 0o644, content: new Uint8Array(0) }, { type: 'file', name: 'emptied/.wh..wh..opq', mode: 0o644, content: new Uint8Array(0) },
  { type: 'file', name: 'emptied/b', mode: 0o4755, content: Buffer.from('b') }, { type: 'link', name: 'linked', linkName: 'emptied/b' },
])
function layoutOf(layers: readonly { readonly tar: Buffer; readonly blob: Buffer }[], name: string): { readonly archive: Buffer; readonly blobs: ReadonlyMap<string, Buffer>; readonly manifest: Buffer } {
  const config = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', config: { Cmd: ['/bin/sh', '-c', 'sleep 1000'], User: '12:34', Env: ['FROM=image'] }, rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => digest(tar)) } }))
  const manifest = Buffer.from(JSON.stringify({
    schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest(config), size: config.length },
    layers: layers.map(({ blob }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest(blob), size: blob.length })),
  }))
  const blobs = new Map([config, manifest, ...layers.map(({ blob }) => blob)].map((blob) => [digest(blob), blob]))
  const index = { schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digest(manifest), size: manifest.length, annotations: { 'org.opencontainers.image.ref.name': name } }] }
  const archive = writeTar([
    { type: 'file', name: 'oci-layout', mode: 0o644, content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') }, { type: 'file', name: 'index.json', mode: 0o644, content: Buffer.from(JSON.stringify(index)) },
    ...Array.from(blobs, ([id, content]) => ({ type: 'file' as const, name: `blobs/sha256/${id.slice(7)}`, mode: 0o644, content })),
  ])
  return { archive, blobs, manifest }
}
const packed = [{ tar: lower, blob: gzipSync(lower) }, { tar: upper, blob: zstdCompressSync(upper) }]

async function checkImage(name: string): Promise<void> {
  const id = await runContainer(name, [])
  const { stdout } = await runtime.execSync({ containerId: id, cmd: ['busybox', 'sh', '-c', 'ls /emptied; ls /gone 2>&1; cat /linked; busybox stat -c %a:%h /linked; busybox id -u; busybox id -g; echo $FROM'] }, signal)
  assert.deepEqual(Buffer.from(stdout ?? []).toString().trim().split('\n'), ['b', 'ls: /gone: No such file or directory', 'b4755:2', '12', '34', 'image'])
  await runtime.removeContainer({ containerId: id }, signal)
}

test('imports an OCI layout; whiteouts, links and modes are right in the container', async () => {
  const path = join(dir, 'image.tar')
  writeFileSync(path, layoutOf(packed, 'example.com/all:1').archive)
  assert.deepEqual(await images.importArchive(path), ['example.com/all:1'])
  await checkImage('example.com/all:1')
  await images.removeImage({ image: { image: 'example.com/all:1' } }, signal)
  assert.equal((await images.imageStatus({ image: { image: 'example.com/all:1' } }, signal)).image, undefined)
})

test('hostile archives touch nothing outside and leave nothing inside', async () => {
  const outside = join(dir, 'outside')
  mkdirSync(outside)
  writeFileSync(join(outside, 'victim'), 'safe')
  const evil = (name: string, content = 'evil'): Parameters<typeof writeTar>[0][number] => ({ type: 'file', name, mode: 0o644, content: Buffer.from(content) })
  const layersBefore = readdirSync(join(dir, 'root/images/layers')).length
  const refused: Parameters<typeof writeTar>[0][] = [
    [evil(`../../../../../../../..${outside}/victim`)], [{ type: 'link', name: 'x', linkName: `../../../../../..${outside}/victim` }, evil('x')],
  ]
  for (const entries of refused) {
    const tar = writeTar(entries)
    const path = join(dir, 'evil.tar')
    writeFileSync(path, layoutOf([{ tar, blob: gzipSync(tar) }], 'example.com/evil:1').archive)
    await assert.rejects(images.importArchive(path), (error) => error instanceof CriError && error.code === 'InvalidArgument')
  }
  // Kept inside: absolute names, symlinks to the outside as parents or as the file itself.
  const inside = writeTar([
    evil(`${outside}/victim`), { type: 'symlink', name: 'way', linkName: outside }, evil('way/victim'), { type: 'symlink', name: 'up', linkName: '../../../../../../../../../..' }, evil(`up${outside}/victim`),
    { type: 'symlink', name: 'direct', linkName: `${outside}/victim` }, evil('direct'),
  ])
  writeFileSync(join(dir, 'evil.tar'), layoutOf([{ tar: inside, blob: gzipSync(inside) }], 'example.com/evil:2').archive)
  await images.importArchive(join(dir, 'evil.tar'))
  assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'safe')
  await images.removeImage({ image: { image: 'example.com/evil:2' } }, signal)
  assert.equal(readdirSync(join(dir, 'root/images/layers')).length, layersBefore)
  assert.deepEqual(readdirSync(join(dir, 'root/images/tmp')), [])
})

test('pulls from a registry: token authentication, resumed download, wrong digests refused', async (t) => {
  const { blobs, manifest } = layoutOf(packed, 'x:1')
  let cut = true
  let corrupt = false
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim())
    const url = new URL(request.url ?? '', 'http://x')
    if (url.pathname === '/token') {
      const isKnown = request.headers.authorization === `Basic ${Buffer.from('user:secret').toString('base64')}`
      response.writeHead(isKnown ? 200 : 401).end(JSON.stringify({ token: 'T' }))
      return
    }
    if (request.headers.authorization !== 'Bearer T') { response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token",service="s",scope="repository:team/all:pull"` }).end(); return }
    const [kind, name = ''] = url.pathname.split('/').slice(-2)
    const body = kind === 'manifests' ? manifest : blobs.get(name)
    if (!body) { response.writeHead(404).end(); return }
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.length - from, 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
    if (cut && body.length > 500_000) { cut = false; response.write(body.subarray(0, 200_000), () => response.destroy()); return }
    response.end(corrupt && kind === 'blobs' ? Buffer.alloc(body.length - from, 'x') : body.subarray(from))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  const address = server.address()
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const image = { image: `${host}/team/all:1` }
  const auth = { username: 'user', password: 'secret' }
  await assert.rejects(images.pullImage({ image, auth: { username: 'user', password: 'wrong' } }, signal), (error) => error instanceof CriError && /authorization failed/.test(error.message))
  await assert.rejects(images.pullImage({ image, auth }, signal), (error) => error instanceof CriError && error.code === 'Unavailable')
  assert.equal((await images.imageStatus({ image }, signal)).image, undefined, 'no half image')
  const { imageRef = '' } = await images.pullImage({ image, auth }, signal)
  assert.ok(requests.some((line) => /bytes=\d+-$/.test(line)), 'the download went on where it stopped')
  assert.equal((await images.imageStatus({ image }, signal)).image?.id, imageRef)
  await checkImage(image.image)
  await images.removeImage({ image: { image: imageRef } }, signal)
  corrupt = true
  await assert.rejects(images.pullImage({ image, auth }, signal), (error) => error instanceof CriError && /digest/.test(error.message))
  assert.equal((await images.imageStatus({ image }, signal)).image, undefined)
})

test('pulls from the reference registry', { skip: spawnSync('which', ['docker-registry']).status === 0 && spawnSync('which', ['skopeo']).status === 0 ? false : 'needs docker-registry and skopeo' }, async () => {
  const config = join(dir, 'registry.yml')
  writeFileSync(config, `version: 0.1\nstorage: {filesystem: {rootdirectory: ${join(dir, 'registry')}}}\nhttp: {addr: 127.0.0.1:5055}\n`)
  const registry = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
  try {
    writeFileSync(join(dir, 'image.tar'), layoutOf([{ tar: lower, blob: gzipSync(lower) }, { tar: upper, blob: gzipSync(upper) }], 'all').archive)
    let pushed = -1
    for (let i = 0; i < 50 && pushed !== 0; i++) pushed = spawnSync('skopeo', ['copy', '--dest-tls-verify=false', '--insecure-policy', `oci-archive:${join(dir, 'image.tar')}`, 'docker://127.0.0.1:5055/team/all:1']).status ?? 1
    assert.equal(pushed, 0)
    const image = { image: '127.0.0.1:5055/team/all:1' }
    await images.pullImage({ image }, signal)
    await checkImage(image.image)
    await assert.rejects(images.pullImage({ image: { image: '127.0.0.1:5055/team/other:1' } }, signal), (error) => error instanceof CriError && error.code === 'NotFound')
    spawnSync('skopeo', ['copy', '--src-tls-verify=false', '--insecure-policy', 'docker://127.0.0.1:5055/team/all:1', `docker-archive:${join(dir, 'docker.tar')}:example.com/docker:1`])
    assert.deepEqual(await images.importArchive(join(dir, 'docker.tar')), ['example.com/docker:1'])
    await checkImage('example.com/docker:1')
  } finally { registry.kill('SIGKILL') }
})
