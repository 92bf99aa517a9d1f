// Second stage of the launcher, already on the right Node.js: makes sure that the bundle is as new as the source, then runs it.
// In a published package there is no source and the bundle is simply there.
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bundle = join(root, 'dist', 'main.mjs')
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  process.stderr.write(`k8ts needs Node.js 24 and found ${process.versions.node}.\nRun 'npm ci' in ${root}: it installs the right one beside the project.\n`)
  process.exit(1)
}
if (existsSync(join(root, 'src', 'cmd'))) {
  const { buildIfStale } = await import('../tools/build.mjs')
  await buildIfStale(root)
}
nodeModule.enableCompileCache(join(root, 'dist', '.compile-cache'))
await import(pathToFileURL(bundle).href)
