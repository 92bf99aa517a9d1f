// Images on a node: from archives, good and hostile, and from a registry.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { eventually, k8ts, run } from '../run-program.ts'
import { container, idle, isOver, shell } from './world.ts'
import type { NodeWorld } from './world.ts'

interface TarEntry { readonly name: string; readonly type?: '0' | '1' | '2' | '3' | '5'; readonly content?: Uint8Array; readonly link?: string; readonly mode?: number }

/** A tar archive by hand: names and links may be anything. */
function tar(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap(({ name, type = '0', content = Buffer.alloc(0), link = '', mode = 0o755 }) => {
    const header = Buffer.alloc(512)
    const fields: readonly (readonly [string, number])[] = [
      [name, 0], [mode.toString(8).padStart(7, '0'), 100], ['0000000', 108], ['0000000', 116], [content.length.toString(8).padStart(11, '0'), 124], ['00000000000', 136], ['        ', 148], [type, 156], [link, 157],
      ['ustar\u000000', 257], ['0000010', 329], ['0000001', 337],
    ]
    for (const [text, at] of fields) header.write(text, at)
    header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

const digest = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const configOf = (layers: readonly Uint8Array[]): Buffer => json({ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: { Env: ['FROM=archive'], Entrypoint: ['/bin/busybox', 'sh', '-c', 'echo made $FROM; cat /made'] }, rootfs: { type: 'layers', diff_ids: layers.map(digest) } })

/** What `docker save` writes. */
function dockerArchive(tag: string, layers: readonly Uint8Array[], extra: readonly TarEntry[] = []): Buffer {
  const config = configOf(layers)
  const names = layers.map((layer) => `${digest(layer).slice(7)}/layer.tar`)
  return tar([
    ...extra, { name: `${digest(config).slice(7)}.json`, content: config }, ...layers.map((content, i) => ({ name: names[i] ?? '', content })),
    { name: 'manifest.json', content: json([{ Config: `${digest(config).slice(7)}.json`, RepoTags: [tag], Layers: names }]) },
  ])
}

/** An OCI image layout as one file. */
function ociArchive(tag: string, layers: readonly Uint8Array[]): Buffer {
  const config = configOf(layers)
  const blob = (bytes: Uint8Array): string => `blobs/sha256/${digest(bytes).slice(7)}`
  const manifest = json({
    schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest(config), size: config.length },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digest(layer), size: layer.length })),
  })
  const index = json({ schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digest(manifest), size: manifest.length, annotations: { 'org.opencontainers.image.ref.name': tag, 'io.containerd.image.name': tag } }] })
  return tar([{ name: 'oci-layout', content: json({ imageLayoutVersion: '1.0.0' }) }, { name: 'index.json', content: index }, ...[manifest, config, ...layers].map((content) => ({ name: blob(content), content }))])
}

const busybox = (): TarEntry => ({ name: 'bin/busybox', content: readFileSync(existsSync('/bin/busybox') ? '/bin/busybox' : '/usr/bin/busybox') })

export function imageTests(world: () => NodeWorld): void {
  const load = (name: string, bytes: Uint8Array): ReturnType<typeof run> => {
    const path = join(world().dataDir, name)
    writeFileSync(path, bytes)
    return run(k8ts, ['image', 'load', `--cluster=${world().name}`, path])
  }
  const runOnce = async (name: string, image: string): Promise<string> => {
    await world().createPod(name, { restartPolicy: 'Never', containers: [{ name: 'main', image, imagePullPolicy: 'Never' }] })
    await world().podWhen(name, 'over', isOver)
    return world().logs(name)
  }

  describe('images', { concurrency: 4 }, () => {
    let registry: ReturnType<typeof spawn> | undefined
    after(() => { registry?.kill() })

    for (const [kind, make] of [['docker', dockerArchive], ['oci', ociArchive]] as const) {
      test(`an archive (${kind}) is loaded; later layers cover, and take away from, earlier ones`, async () => {
        const image = `example.com/from-${kind}:1`
        const layers = [tar([{ name: 'bin/', type: '5' }, busybox(), { name: 'made', content: Buffer.from(`by hand as ${kind}\n`) }, { name: 'gone', content: Buffer.from('x') }, { name: 'd/', type: '5' }, { name: 'd/old' }]), tar([{ name: '.wh.gone' }, { name: 'd/.wh..wh..opq' }, { name: 'd/new' }])]
        const loaded = await load(`${kind}.tar`, make(image, layers))
        assert.equal(loaded.code, 0, loaded.stderr)
        assert.match(loaded.stdout, new RegExp(`node-1: loaded ${image.replaceAll('.', '\\.')}`))
        assert.equal(await runOnce(`from-${kind}`, image), `made archive\nby hand as ${kind}\n`)
        await world().createPod(`files-${kind}`, { restartPolicy: 'Never', containers: [{ name: 'main', image, imagePullPolicy: 'Never', command: ['/bin/busybox', 'ls', '/', '/d'] }] })
        await world().podWhen(`files-${kind}`, 'over', isOver)
        const files = await world().logs(`files-${kind}`)
        assert.doesNotMatch(files, /gone|old/)
        assert.match(files, /new/)
      })
    }

    test('hostile layers: nothing outside the image is written, read or linked; no device is made', async () => {
      const target = join(world().dataDir, 'victim')
      mkdirSync(target)
      writeFileSync(join(target, 'secret'), 'not for you')
      const evil = Buffer.from('evil')
      const climbing = '../'.repeat(20)
      const cases: Readonly<Record<string, readonly TarEntry[]>> = {
        'dot-dot': [{ name: `${climbing}${target.slice(1)}/dot-dot`, content: evil }],
        'dot-dot-inside': [{ name: 'a/', type: '5' }, { name: `a/${climbing}${target.slice(1)}/dot-dot-inside`, content: evil }],
        'absolute': [{ name: `${target}/absolute`, content: evil }],
        'through-symlink': [{ name: 'way', type: '2', link: target }, { name: 'way/through-symlink', content: evil }],
        'through-relative-symlink': [{ name: 'way', type: '2', link: `${climbing}${target.slice(1)}` }, { name: 'way/through-relative-symlink', content: evil }],
        'over-symlink': [{ name: 'file', type: '2', link: `${target}/over-symlink` }, { name: 'file', content: evil }],
        'hard-link': [{ name: 'stolen', type: '1', link: `${climbing}${target.slice(1)}/secret` }],
        'hard-link-absolute': [{ name: 'stolen', type: '1', link: `${target}/secret` }],
        'hard-link-through-symlink': [{ name: 'way', type: '2', link: target }, { name: 'stolen', type: '1', link: 'way/secret' }],
        'whiteout': [{ name: 'way', type: '2', link: target }, { name: 'way/.wh.secret' }],
        'device': [{ name: 'memory', type: '3', mode: 0o666 }],
      }
      await Promise.all(Object.entries(cases).map(async ([name, entries]) => {
        const image = `example.com/hostile-${name}:1`
        const { code, stderr } = await load(`hostile-${name}.tar`, dockerArchive(image, [tar([{ name: 'bin/', type: '5' }, busybox(), { name: 'made', content: Buffer.from('x') }]), tar(entries)]))
        assert.ok(code === 0 || /image: node-1: /.test(stderr), `${name}: ${code} ${stderr}`)
        if (code !== 0) return
        const script = 'cat /stolen 2>/dev/null; [ -b /memory ] || [ -c /memory ] && head -c 1 /memory >/dev/null 2>&1 && echo device; echo over'
        await world().createPod(`hostile-${name}`, { restartPolicy: 'Never', containers: [{ name: 'main', image, imagePullPolicy: 'Never', command: ['/bin/busybox', 'sh', '-c', script] }] })
        await world().podWhen(`hostile-${name}`, 'over', isOver, 40_000)
        assert.equal(await world().logs(`hostile-${name}`), 'over\n', name)
      }))
      assert.deepEqual(readdirSync(target), ['secret'])
      assert.equal(readFileSync(join(target, 'secret'), 'utf8'), 'not for you')
    })

    test('hostile archives: names that climb, blobs that are not what they say, no archive at all', async () => {
      const layer = tar([{ name: 'made', content: Buffer.from('x') }])
      const outside = await load('climbs.tar', dockerArchive('example.com/climbs:1', [layer], [{ name: '../../../tmp/k8ts-climbed', content: Buffer.from('evil') }, { name: '/tmp/k8ts-climbed', content: Buffer.from('evil') }]))
      assert.ok(outside.code === 0 || /image: node-1: /.test(outside.stderr), outside.stderr)
      assert.ok(!existsSync('/tmp/k8ts-climbed'))
      const good = ociArchive('example.com/broken:1', [layer])
      const broken = Buffer.from(good)
      broken[good.indexOf('made')] = 'M'.charCodeAt(0)
      for (const [name, bytes] of [['broken', broken], ['empty', Buffer.alloc(0)], ['noise', Buffer.from('noise'.repeat(1000))], ['cut', good.subarray(0, 3000)], ['links', tar([{ name: 'manifest.json', type: '2', link: '/etc/passwd' }])]] as const) {
        const { code, stderr } = await load(`${name}.tar`, bytes)
        assert.equal(code, 1, name)
        assert.match(stderr, /^image: node-1: /, name)
      }
      assert.equal((await run(k8ts, ['image', 'load', `--cluster=${world().name}`, '/no/such/file'])).code, 1)
    })

    test('pulled from a registry: by tag and digest; pull policies; a missing image backs off', async (context) => {
      if ((await run('which', ['docker-registry', 'skopeo'])).code !== 0) { context.skip('needs docker-registry and skopeo (apt-get install docker-registry skopeo)'); return }
      const folder = join(world().dataDir, 'registry')
      mkdirSync(folder)
      const host = `${world().hostIp}:5000`
      writeFileSync(join(folder, 'config.yml'), `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${folder}/data\nhttp:\n  addr: ${host}\n`)
      registry = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' })
      await eventually('the registry answers', async () => ((await run('curl', ['-sf', `http://${host}/v2/`])).code === 0 ? true : undefined), 10_000)
      writeFileSync(join(folder, 'image.tar'), dockerArchive('example.com/pulled:1', [tar([{ name: 'bin/', type: '5' }, busybox(), { name: 'made', content: Buffer.from('pulled\n') }])]))
      const pushed = await run('skopeo', ['copy', '--dest-tls-verify=false', '--insecure-policy', '--digestfile', join(folder, 'digest'), `docker-archive:${join(folder, 'image.tar')}`, `docker://${host}/team/pulled:1`])
      assert.equal(pushed.code, 0, pushed.stderr)
      const one = (image: string, imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'): Parameters<NodeWorld['createPod']>[1] => ({ restartPolicy: 'Never', containers: [{ name: 'main', image, imagePullPolicy }] })
      await world().createPod('never-pulled', one(`${host}/team/pulled:1`, 'Never'))
      await world().podWhen('never-pulled', 'refused', (p) => container(p)?.state?.waiting?.reason === 'ErrImageNeverPull')
      await world().createPod('pulled', one(`${host}/team/pulled:1`, 'Always'))
      const pulled = await world().podWhen('pulled', 'over', isOver)
      assert.equal(await world().logs('pulled'), 'made archive\npulled\n')
      await world().eventWhen('pulled', 'Pulled', /Successfully pulled image ".*\/team\/pulled:1" in .* Image size: \d+ bytes/)
      const byDigest = `${host}/team/pulled@${readFileSync(join(folder, 'digest'), 'utf8').trim()}`
      assert.equal(container(pulled)?.imageID, byDigest)
      await world().createPod('by-digest', one(byDigest, 'Always'))
      await world().podWhen('by-digest', 'over', isOver)
      assert.equal(await world().logs('by-digest'), 'made archive\npulled\n')
      await world().createPod('missing', { containers: [{ ...shell('main', ''), image: `${host}/team/missing:1`, command: ['/bin/busybox', 'sleep', '1000'] }] })
      const backing = await world().podWhen('missing', 'ImagePullBackOff', (p) => container(p)?.state?.waiting?.reason === 'ImagePullBackOff')
      assert.match(container(backing)?.state?.waiting?.message ?? '', /Back-off pulling image ".*\/team\/missing:1"/)
      await world().eventWhen('missing', 'BackOff', /Back-off pulling image/)
      await world().eventWhen('missing', 'Failed', /Failed to pull image .*not found/)
      await run('skopeo', ['copy', '--dest-tls-verify=false', '--insecure-policy', `docker-archive:${join(folder, 'image.tar')}`, `docker://${host}/team/missing:1`])
      await world().ready('missing', 30_000)
    })

    test('an image whose name is none is told apart', async () => {
      await world().createPod('bad-name', { containers: [shell('main', idle, { image: 'UPPER/Case:x:y' })] })
      await world().podWhen('bad-name', 'InvalidImageName', (p) => container(p)?.state?.waiting?.reason === 'InvalidImageName')
    })
  })
}
