// Bundles src/cmd/main.ts into dist/ with esbuild: a fraction of a second, and programs start several times faster than from source.
// Native packages stay outside the bundle.
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Newest modification time, in ms, below a folder. */
function newest(folder) {
  let latest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || entry.name.endsWith('.test.ts')) continue
    const time = statSync(join(entry.parentPath, entry.name)).mtimeMs
    if (time > latest) latest = time
  }
  return latest
}

export async function buildIfStale(root) {
  const stamp = join(root, 'dist', '.built')
  const source = Math.max(newest(join(root, 'src')), statSync(join(root, 'package.json')).mtimeMs)
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= source) return
  await build(root)
}

const oldChunkMs = 3_600_000

export async function build(root) {
  const started = Date.now()
  const { build: bundle, stop } = await import('esbuild')
  const out = join(root, 'dist')
  mkdirSync(out, { recursive: true })
  // Several programs may build at once, and some may run from what is there: everything goes into a folder of our own first, then file by
  // file into place, the entry last. Chunks are named by their content, so old ones harm nobody; they go after an hour.
  const fresh = join(out, `.build-${process.pid}`)
  await bundle({
    absWorkingDir: root, entryPoints: { main: 'src/cmd/main.ts', testing: 'src/lib/testing/index.ts' }, outdir: fresh, bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node24',
    outExtension: { '.js': '.mjs' }, external: ['koffi', 'esbuild'], logLevel: 'warning', minifyWhitespace: true, minifySyntax: true, keepNames: false, legalComments: 'none',
    chunkNames: 'chunk-[hash]',
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  })
  const made = readdirSync(fresh)
  for (const entry of made.sort((a, b) => Number(a === 'main.mjs') - Number(b === 'main.mjs'))) renameSync(join(fresh, entry), join(out, entry))
  rmSync(fresh, { recursive: true, force: true })
  for (const entry of readdirSync(out)) {
    if (entry.startsWith('chunk-') && !made.includes(entry) && statSync(join(out, entry)).mtimeMs < started - oldChunkMs) rmSync(join(out, entry), { force: true })
  }
  // Its helper process would stay for as long as ours.
  await stop()
  // Texts for `kubectl explain` and OpenAPI, from dev dependencies: made once, and left out where those aren't installed.
  if (!existsSync(join(out, 'descriptions.json')) && existsSync(join(root, 'node_modules', '@kubernetes', 'client-node'))) {
    spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(root, 'tools', 'build-descriptions.ts')], { stdio: 'ignore' })
  }
  writeFileSync(join(out, '.built'), '')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build(dirname(dirname(fileURLToPath(import.meta.url))))
