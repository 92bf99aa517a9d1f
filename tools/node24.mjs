// Runs a script with the Node.js 24 that the package brings: `node tools/node24.mjs script.ts args...`.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Path of a Node.js 24 or newer: the package's own, else the one that runs this. */
export function node24() {
  const modules = join(root, 'node_modules')
  const own = existsSync(modules) ? readdirSync(modules).filter((n) => /^node-(linux|darwin|win)/.test(n)).map((n) => join(modules, n, 'bin', 'node')).find((p) => existsSync(p)) : undefined
  return own ?? process.execPath
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { status } = spawnSync(node24(), ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(status ?? 1)
}
