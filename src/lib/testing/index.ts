// What tests of operators, controllers and tools use.
export { startCluster } from './start-cluster.ts'
export type { TestCluster, TestClusterOptions } from './start-cluster.ts'
export { SimulatedClock, settle } from './simulated-clock.ts'
