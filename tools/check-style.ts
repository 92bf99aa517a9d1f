// The rules of STYLE.md that a machine can see: how files open, how long they are, what may stand in them.
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const breaches: string[] = []
/** Files over 500 lines, each with the reason. */
const longFiles: Record<string, string> = JSON.parse(readFileSync(join(root, 'tools/long-files.json'), 'utf8'))
/** Shells that own time, chance and timers. */
const worldOwners = /^src\/(lib\/async\/real-|lib\/testing\/)/

for (const entry of readdirSync(join(root, 'src'), { withFileTypes: true, recursive: true })) {
  if (!entry.isFile() || !/\.tsx?$/.test(entry.name)) continue
  const path = relative(root, join(entry.parentPath, entry.name))
  if (path.includes('/generated/')) continue
  const text = readFileSync(join(root, path), 'utf8')
  const lines = text.split('\n')
  if (!/^[a-z0-9.-]+\.(ts|tsx)$/.test(entry.name)) breaches.push(`${path}: file names are kebab-case`)
  if (/(^|\/)(util|utils|helpers?)\.ts$/.test(path)) breaches.push(`${path}: name it after what it does`)
  if (!/^(\/\/|\/\*)/.test(text) && !path.endsWith('.test.ts')) breaches.push(`${path}: a file opens by saying what it is`)
  if (lines.length > 501 && !longFiles[path]) breaches.push(`${path}: ${lines.length} lines; over 500 needs a reason in tools/long-files.json`)
  lines.forEach((line, i) => {
    if (path.endsWith('.test.ts')) return
    const code = line.replace(/\/\/.*$/, '').replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "''")
    if (/(:|<|\bas)\s*any\b/.test(code)) breaches.push(`${path}:${i + 1}: no any`)
    if (/\benum\s+\w+\s*\{/.test(code) && !/^\s*\*/.test(line)) breaches.push(`${path}:${i + 1}: string unions instead of enums`)
    if (!worldOwners.test(path) && /\b(Date\.now|performance\.now|Math\.random|randomUUID|setInterval)\b\(?/.test(code)) breaches.push(`${path}:${i + 1}: time and chance are arguments`)
    if (/export default/.test(code)) breaches.push(`${path}:${i + 1}: no default exports`)
  })
}
if (breaches.length > 0) { console.error(breaches.join('\n')); process.exit(1) }
