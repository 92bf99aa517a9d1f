// Builds the etcd that the tests of robustness start, from its source: one file per kind of process, which starts in half the time, and which
// stays what it is when somebody edits the source meanwhile. Nothing of what is put in here is in the product: modules are exchanged, or a few
// words of one, while they are bundled.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { changesFor, smallSizes, type Change } from './control-faults.ts'

/** A kind of process. */
export interface ProgramKind {
  /** The disk and the network between members have failpoints. */
  readonly failpoints?: true
  /** A control build: the name of a fault of control-faults.ts. */
  readonly control?: string
  /** See control-faults.ts. */
  readonly smallSizes?: true
}

/** Modules of the product that are wrapped, with what wraps them. */
const exchanged: { readonly [ending: string]: string } = {
  '/control-plane/etcd/disk/real-disk.ts': 'exchanged-disk.ts',
  '/control-plane/etcd/peer/open-peer-transport.ts': 'exchanged-peer-transport.ts',
}

const folder = join(tmpdir(), 'k8ts-robustness-programs')
/** Programs that nobody has asked for so long are removed. */
const keptMs = 24 * 3600 * 1000
const building = new Map<string, Promise<void>>()
const built = new Map<string, string>()

/** Makes sure that `programOf` knows it. */
export function buildProgram(kind: ProgramKind): Promise<void> {
  const name = nameOf(kind)
  const running = building.get(name) ?? bundle(kind).then((path) => { built.set(name, path) })
  building.set(name, running)
  return running
}

/** The path of a program that was built. */
export function programOf(kind: ProgramKind): string {
  const path = built.get(nameOf(kind))
  if (path === undefined) throw new Error(`the program ${nameOf(kind)} is not built`)
  return path
}

function nameOf({ failpoints, control, smallSizes: small }: ProgramKind): string { return ['etcd', ...(failpoints ? ['failpoints'] : []), ...(small ? ['small'] : []), ...(control === undefined ? [] : [control])].join('-') }

async function bundle(kind: ProgramKind): Promise<string> {
  const changes = [...(kind.smallSizes ? smallSizes : []), ...(kind.control === undefined ? [] : changesFor(kind.control))]
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'etcd-program.ts')], write: false, bundle: true, format: 'esm', platform: 'node', target: 'node24', logLevel: 'error', minifyWhitespace: true,
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
    plugins: [...(kind.failpoints || kind.control !== undefined ? [exchange] : []), change(nameOf(kind), changes)],
  })
  const bytes = outputFiles[0]?.contents ?? new Uint8Array()
  mkdirSync(folder, { recursive: true })
  removeOld()
  const path = join(folder, `${nameOf(kind)}-${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.mjs`)
  // Another run may write the same.
  const fresh = `${path}.${process.pid}`
  writeFileSync(fresh, bytes)
  renameSync(fresh, path)
  return path
}

function removeOld(): void {
  const now = realClock.now()
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const changedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs
    if (changedMs !== undefined && changedMs < now - keptMs) rmSync(path, { force: true })
  }
}

const exchange: Plugin = {
  name: 'exchange',
  setup(plugged) {
    plugged.onResolve({ filter: /\.ts$/ }, ({ path, resolveDir }) => {
      // The wrapper itself gets the real one.
      if (resolveDir === import.meta.dirname) return undefined
      const ending = Object.keys(exchanged).find((end) => resolve(resolveDir, path).endsWith(end))
      return ending === undefined ? undefined : { path: join(import.meta.dirname, exchanged[ending] ?? '') }
    })
  },
}

function change(name: string, changes: readonly Change[]): Plugin {
  return {
    name: 'change',
    setup(plugged) {
      const left = new Set(changes)
      plugged.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const here = changes.filter(({ module }) => path.endsWith(module))
        if (here.length === 0) return undefined
        let source = readFileSync(path, 'utf8')
        for (const one of here) {
          if (!source.includes(one.find)) throw new Error(`${name}: ${one.module} doesn't contain ${JSON.stringify(one.find)}`)
          source = source.replace(one.find, () => one.put)
          left.delete(one)
        }
        return { contents: source, loader: 'ts' }
      })
      plugged.onEnd(() => { if (left.size > 0) throw new Error(`${name}: no module ${[...left].map(({ module }) => module).join()}`) })
    },
  }
}
