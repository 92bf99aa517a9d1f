// Everything that can be set about controllers, each under the name of the original's flag. Defaults are the original's.

export interface ControllerSettings {
  /** --cluster-cidr: ranges for pods, one per address family; empty: none are given out. */
  readonly clusterCidrs: readonly string[]
  /** --allocate-node-cidrs */
  readonly allocateNodeCidrs: boolean
  /** --node-cidr-mask-size (IPv4), --node-cidr-mask-size-ipv6 */
  readonly nodeCidrMaskSize: number
  readonly nodeCidrMaskSizeIPv6: number
  /** --node-monitor-period */
  readonly nodeMonitorPeriodMs: number
  /** --node-monitor-grace-period: silence after which a node is Unknown. */
  readonly nodeMonitorGracePeriodMs: number
  /** --node-startup-grace-period: silence allowed to a node that has never reported. */
  readonly nodeStartupGracePeriodMs: number
  /** --node-eviction-rate, --secondary-node-eviction-rate: nodes per second. */
  readonly nodeEvictionRate: number
  readonly secondaryNodeEvictionRate: number
  /** --large-cluster-size-threshold, --unhealthy-zone-threshold */
  readonly largeClusterSizeThreshold: number
  readonly unhealthyZoneThreshold: number
  /** --terminated-pod-gc-threshold: finished pods kept. */
  readonly terminatedPodGcThreshold: number
  /** --max-endpoints-per-slice */
  readonly maxEndpointsPerSlice: number
  /** --root-ca-file, as PEM; empty: not published. */
  readonly rootCa: string
  /** Signs the token of a legacy Secret for a service account: claims to compact JWT. Undefined without --service-account-private-key-file. */
  readonly signToken: ((claims: { readonly [claim: string]: string }) => string) | undefined
  /** --cluster-signing-cert-file, --cluster-signing-key-file (as PEM), --cluster-signing-duration. Undefined: nothing is signed. */
  readonly clusterSigning: { readonly certificate: string, readonly key: string, readonly durationMs: number } | undefined
  /** --horizontal-pod-autoscaler-sync-period, -downscale-stabilization, -tolerance, -cpu-initialization-period, -initial-readiness-delay */
  readonly horizontalPodAutoscalerSyncPeriodMs: number
  readonly horizontalPodAutoscalerDownscaleStabilizationMs: number
  readonly horizontalPodAutoscalerTolerance: number
  readonly horizontalPodAutoscalerCpuInitializationPeriodMs: number
  readonly horizontalPodAutoscalerInitialReadinessDelayMs: number
  /** --resource-quota-sync-period */
  readonly resourceQuotaSyncPeriodMs: number
}

export const defaultSettings: ControllerSettings = {
  clusterCidrs: [], allocateNodeCidrs: false, nodeCidrMaskSize: 24, nodeCidrMaskSizeIPv6: 64,
  nodeMonitorPeriodMs: 5_000, nodeMonitorGracePeriodMs: 40_000, nodeStartupGracePeriodMs: 60_000,
  nodeEvictionRate: 0.1, secondaryNodeEvictionRate: 0.01, largeClusterSizeThreshold: 50, unhealthyZoneThreshold: 0.55,
  terminatedPodGcThreshold: 12_500, maxEndpointsPerSlice: 100, rootCa: '', signToken: undefined, clusterSigning: undefined,
  horizontalPodAutoscalerSyncPeriodMs: 15_000, horizontalPodAutoscalerDownscaleStabilizationMs: 300_000, horizontalPodAutoscalerTolerance: 0.1,
  horizontalPodAutoscalerCpuInitializationPeriodMs: 300_000, horizontalPodAutoscalerInitialReadinessDelayMs: 30_000, resourceQuotaSyncPeriodMs: 300_000,
}
