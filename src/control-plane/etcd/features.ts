// Features that can be switched (`--feature-gates`), as the original names and stages them. Upstream: etcd/server/features/etcd_features.go

export type FeatureStage = 'ALPHA' | 'BETA'

export const featureStages = {
  CompactHashCheck: 'ALPHA',
  /** Without effect: a renewal waits for a quorum's word that this member leads, which the original's fast way spares (consensus/lease-access.ts). */
  FastLeaseKeepAlive: 'BETA',
  InitialCorruptCheck: 'ALPHA',
  LeaseCheckpoint: 'ALPHA',
  /** What is left of a lease is always kept with its checkpoint, as the original does since 3.6. */
  LeaseCheckpointPersist: 'ALPHA',
  PriorityRequest: 'ALPHA',
  SetMemberLocalAddr: 'ALPHA',
  StopGRPCServiceOnDefrag: 'ALPHA',
  /** About a buffer of bbolt's: transactions read the store itself here, which is what the feature wants. */
  TxnModeWriteWithSharedBuffer: 'BETA',
} as const satisfies { readonly [name: string]: FeatureStage }

/** All of a stage at once; a feature's own switch counts more. */
export const stageSwitches = { AllAlpha: 'ALPHA', AllBeta: 'BETA' } as const satisfies { readonly [name: string]: FeatureStage }

export type FeatureName = keyof typeof featureStages | keyof typeof stageSwitches
export type FeatureSwitches = { readonly [name in FeatureName]: boolean }

export const featureNames = Object.keys({ ...featureStages, ...stageSwitches }) as readonly FeatureName[] // cast: the keys of these objects
export function stageOf(name: FeatureName): FeatureStage { return { ...featureStages, ...stageSwitches }[name] }

/** @param given switches by name, of features and of stages */
export function switchFeatures(given: ReadonlyMap<string, boolean> = new Map()): FeatureSwitches {
  const byStage: { readonly [stage in FeatureStage]: boolean } = { ALPHA: given.get('AllAlpha') ?? false, BETA: given.get('AllBeta') ?? true }
  return Object.fromEntries(featureNames.map((name) => [name, given.get(name) ?? (Object.hasOwn(stageSwitches, name) ? false : byStage[stageOf(name)])])) as FeatureSwitches // cast: every name has one
}
