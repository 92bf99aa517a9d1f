// Our etcd, from its source, as the tests of robustness start it: the program itself with, on request, failpoints under its disk and its network
// between members, or a fault of a control build. Nothing of this is in the product: modules are exchanged while they are loaded.
//
// K8TS_FAILPOINTS=1: failpoints can be armed over the channel to the parent; or `name=crash` and the like, armed from the start.
// K8TS_CONTROL=<fault>, K8TS_SMALL_SIZES=1: see control-faults.ts.
import { enableCompileCache, registerHooks } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

enableCompileCache(join(tmpdir(), 'k8ts-robustness-compile-cache'))

/** Modules of the product that are wrapped, with what wraps them. The wrapper gets the real one by `?real`. */
const exchanged: { readonly [ending: string]: string } = {
  '/control-plane/etcd/disk/real-disk.ts': 'exchanged-disk.ts',
  '/control-plane/etcd/peer/open-peer-transport.ts': 'exchanged-peer-transport.ts',
}

const { K8TS_FAILPOINTS: failpoints, K8TS_CONTROL: control, K8TS_SMALL_SIZES: smallSizes } = process.env
if (failpoints !== undefined || control !== undefined) {
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context)
      const ending = Object.keys(exchanged).find((end) => found.url.endsWith(end))
      if (ending === undefined || found.url.includes('?')) return found
      return { ...found, url: new URL(exchanged[ending] ?? '', import.meta.url).href }
    },
  })
}
if (failpoints !== undefined) (await import('./failpoints.ts')).armFrom(failpoints)
if (smallSizes !== undefined) (await import('./control-faults.ts')).useSmallSizes()
if (control !== undefined) (await import('./control-faults.ts')).putIn(control)
// Whoever started it is gone, and nobody would end it.
process.on('disconnect', () => process.exit(1))
process.channel?.unref()

const { run } = await import('../../src/cmd/etcd.ts')
process.exitCode = await run(process.argv.slice(2))
// What keeps the process otherwise is this side of the channel.
if (process.connected) process.disconnect()
