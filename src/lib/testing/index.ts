// What tests of operators, controllers and tools use.
export { startCluster } from './start-cluster.ts'
export type { TestCluster, TestClusterOptions } from './start-cluster.ts'
export { SimulatedClock, settle } from './simulated-clock.ts'
/** Names and types of the resources, for `cluster.admin.resource(…)`. */
export * from '../client/resource-keys.ts'
