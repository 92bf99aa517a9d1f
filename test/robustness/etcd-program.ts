// Our etcd as the tests of robustness start it (build-program.ts bundles this with, on request, failpoints or a fault of a control build).
//
// K8TS_FAILPOINTS: `name=crash` and the like, armed from the start. K8TS_CONTROL: see control-faults.ts.
import { flushCompileCache } from 'node:module'
import { run } from '../../src/cmd/etcd.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { armFrom } from './failpoints.ts'

/** Most of these processes are killed, and would write nothing. */
const cacheWrittenAfterMs = 800

armFrom(process.env['K8TS_FAILPOINTS'] ?? '')
// Whoever started it is gone, and nobody would end it.
const abandoned = (): never => process.exit(1)
process.on('disconnect', abandoned)
process.channel?.unref()
realClock.setTimer(cacheWrittenAfterMs, flushCompileCache, { keepAlive: false })

process.exitCode = await run(process.argv.slice(2))
// What keeps the process otherwise is this side of the channel.
process.off('disconnect', abandoned)
if (process.connected) process.disconnect()
