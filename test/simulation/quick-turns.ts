// The simulation's event loop. What it runs never waits for the outside, and yet goes through tens of thousands of turns a seed: each would ask the
// kernel for news. Here a turn is what it is to those who wait for one: everything that is ready has run, promises included; one callback after the
// other, in the order in which they came, as setImmediate's. Now and then a real turn is among them, for the garbage collector's own callbacks.
let waiting: (() => void)[] = []
let at = 0
let turns = 0
let isPlanned = false
const realImmediate = globalThis.setImmediate
const realTurnEvery = 4096

function plan(): void {
  if (++turns % realTurnEvery === 0) realImmediate(runNext)
  // From a microtask: those that are queued now, and what they lead to, come before it.
  else queueMicrotask(planTick)
}
const planTick = (): void => { process.nextTick(runNext) }

function runNext(): void {
  const run = waiting[at++]
  if (at === waiting.length) {
    waiting = []
    at = 0
    isPlanned = false
  } else plan()
  run?.()
}

const quickImmediate = (run: () => void): void => {
  waiting.push(run)
  if (isPlanned) return
  isPlanned = true
  plan()
}

/** From now on, in this process. */
export function useQuickTurns(): void { globalThis.setImmediate = Object.assign(quickImmediate, realImmediate) as unknown as typeof setImmediate } // cast: nobody asks for the handle, or passes arguments
