// The worker node on real containers: what a pod's spec asks for is what happens on the machine. One cluster for all of it.
// Needs root on Linux with crun and conmon; says so and skips elsewhere.
import { after, before, describe } from 'node:test'
import { accessTests } from './node/access.ts'
import { containerTests } from './node/containers.ts'
import { imageTests } from './node/images.ts'
import { probeTests } from './node/probes.ts'
import { recoveryTests } from './node/recovery.ts'
import { serviceTests } from './node/services.ts'
import { volumeTests } from './node/volumes.ts'
import { NodeWorld } from './node/world.ts'

const skip = process.getuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux: real containers, namespaces and packet rules'

describe('a worker node', { skip }, () => {
  let started: NodeWorld | undefined
  const world = (): NodeWorld => {
    if (!started) throw new Error('the cluster did not start')
    return started
  }
  before(async () => { started = await NodeWorld.start({ name: 'nodes', network: 2 }) }, { timeout: 180_000 })
  after(async () => { await started?.[Symbol.asyncDispose]() }, { timeout: 60_000 })

  // Much of it is waiting for what takes its time: back-offs, periods.
  describe('pods', { concurrency: 2 }, () => {
    imageTests(world)
    containerTests(world)
    probeTests(world)
    volumeTests(world)
    accessTests(world)
    serviceTests(world)
  })
  recoveryTests(world)
})
