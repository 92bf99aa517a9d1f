// Checks every import under src/ against src/layers.ts, and that pure modules import nothing of Node. Prints each breach as file:line.
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { etcdClientUsers, layers } from '../src/layers.ts'
import type { Layer } from '../src/layers.ts'

const src = resolve(import.meta.dirname, '../src')
const files = readdirSync(src, { withFileTypes: true, recursive: true }).filter((e) => e.isFile() && e.name.endsWith('.ts')).map((e) => relative(src, join(e.parentPath, e.name)))
const within = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)
const layerOf = (path: string): Layer | undefined => layers.filter((l) => within(path, l.path)).sort((a, b) => b.path.length - a.path.length)[0]
const breaches: string[] = []
const importPattern = /(?:^|\n)\s*(?:import|export)\b[^'"\n;]*?(?:\bfrom\s*)?(['"])([^'"]+)\1|\bimport\(\s*(['"])([^'"]+)\3\s*\)|\n\}\s*from\s*(['"])([^'"]+)\5/g
const component = (path: string): string | undefined => /^(control-plane|worker-node|clients)\/[^/]+/.exec(path)?.[0]

for (const file of files) {
  const isTest = file.endsWith('.test.ts')
  const layer = layerOf(file)
  if (!layer && file !== 'layers.ts') { breaches.push(`src/${file}: belongs to no layer`); continue }
  if (!layer) continue
  const text = readFileSync(join(src, file), 'utf8')
  for (const match of text.matchAll(importPattern)) {
    const target = match[2] ?? match[4] ?? match[6] ?? ''
    const where = `src/${file}:${text.slice(0, match.index).split('\n').length + (match[0].startsWith('\n') ? 1 : 0)}`
    if (!target.startsWith('.')) {
      if (layer.pure && !isTest && target.startsWith('node:')) breaches.push(`${where}: pure module imports ${target}`)
      continue
    }
    const path = relative(src, resolve(dirname(join(src, file)), target))
    if (path.startsWith('..')) { if (!isTest) breaches.push(`${where}: imports ${target} from outside src/`); continue }
    const internal = /^(.*)\/internal\//.exec(path)?.[1]
    if (internal !== undefined && !within(file, internal)) breaches.push(`${where}: ${path} is internal to ${internal}`)
    if (within(path, layer.path)) {
      const inner = layerOf(path)
      if (layer.pure && inner && !inner.pure && !isTest) breaches.push(`${where}: pure module imports impure ${path}`)
      continue
    }
    if (isTest && (within(path, 'lib') || component(path) === component(file))) continue
    const own = component(file)
    if (own !== undefined && component(path) === own && !layer.pure) continue
    if (!layer.may.some((m) => within(path, m))) breaches.push(`${where}: ${layer.path} may not import ${path}`)
    else if (layer.pure && !isTest && !layerOf(path)?.pure && !/^import type|^\s*\n?\s*(import|export) type/.test(match[0].trimStart())) breaches.push(`${where}: pure module imports impure ${path}`)
    if (within(path, 'lib/etcd-client') && !etcdClientUsers.some((u) => within(file, u))) breaches.push(`${where}: only ${etcdClientUsers.join(', ')} may import the etcd client`)
  }
}
if (breaches.length > 0) { console.error(breaches.join('\n')); process.exit(1) }
console.log(`${files.length} files keep the layers`)
