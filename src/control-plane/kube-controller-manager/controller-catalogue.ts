// All controllers by their canonical names, with the short names that older flags used, and which of them `--controllers` selects.
// Upstream: kubernetes/cmd/kube-controller-manager/names, app/controllermanager.go
import { createCertificateCleaner } from './controllers/certificates.ts'
import { createClusterRoleAggregationController } from './controllers/clusterrole-aggregation.ts'
import { createCronJobController } from './controllers/cronjob.ts'
import { createDaemonSetController } from './controllers/daemonset.ts'
import { createDeploymentController } from './controllers/deployment.ts'
import { createDisruptionController } from './controllers/disruption.ts'
import { createEndpointsController } from './controllers/endpoints.ts'
import { createEndpointSliceController } from './controllers/endpointslice.ts'
import { createEndpointSliceMirroringController } from './controllers/endpointslice-mirroring.ts'
import { createJobController, createOrphanedJobPodReleaser } from './controllers/job.ts'
import { createNodeIpamController } from './controllers/node-ipam.ts'
import { createNodeMonitor, createNodeTainter } from './controllers/node-lifecycle.ts'
import { createPersistentVolumeBinder } from './controllers/persistentvolume-binder.ts'
import { createPodGarbageCollector } from './controllers/pod-garbage-collector.ts'
import { createReplicaSetController } from './controllers/replicaset.ts'
import { createReplicationControllerController } from './controllers/replicationcontroller.ts'
import { createResourceQuotaController } from './controllers/resourcequota.ts'
import { createRootCaPublisher } from './controllers/root-ca-certificate-publisher.ts'
import { createServiceAccountController } from './controllers/serviceaccount.ts'
import { createServiceAccountTokenController } from './controllers/serviceaccount-token.ts'
import { createStatefulSetController } from './controllers/statefulset.ts'
import { createTaintEvictionController } from './controllers/taint-eviction.ts'
import { createTtlController } from './controllers/ttl.ts'
import { createTtlAfterFinishedController } from './controllers/ttl-after-finished.ts'
import { createClaimProtectionController, createVolumeProtectionController } from './controllers/volume-protection.ts'
import type { Controller } from './controllers/shared/controller.ts'
import type { ControllerSettings } from './controllers/shared/settings.ts'
import { prepareController } from './runner/controller-runner.ts'
import type { ControllerWorld, RunningController } from './runner/controller-runner.ts'
import { prepareAutoscaler } from './runner/autoscaler-shell.ts'
import { prepareCertificateApprover, prepareCertificateSigner } from './runner/certificate-shell.ts'
import { prepareGarbageCollector } from './runner/garbage-collector-shell.ts'
import { prepareNamespaceController } from './runner/namespace-shell.ts'

/** Registers informers when made; works from `start` on. */
export interface PreparedController { start(signal: AbortSignal): Pick<RunningController, 'done'> }

export interface CatalogueEntry {
  /** Canonical name. */
  readonly name: string
  /** Also accepted by --controllers. */
  readonly alias: string
  /** The service account in kube-system whose rights it has; undefined: those of the controller manager itself. */
  readonly serviceAccount?: string
  /** `*` does not include it. */
  readonly disabledByDefault?: true
  /** Which --concurrent-…-syncs flag it heeds. */
  readonly concurrencyFlag?: string
  /** Undefined when the settings leave it nothing to do. */
  prepare(settings: ControllerSettings, world: ControllerWorld): PreparedController | undefined
}

/** An entry for a pure controller. */
function pure(name: string, alias: string, serviceAccount: string | undefined, make: (settings: ControllerSettings) => Controller | undefined, concurrencyFlag?: string): CatalogueEntry {
  return {
    name, alias, ...(serviceAccount === undefined ? {} : { serviceAccount }), ...(concurrencyFlag === undefined ? {} : { concurrencyFlag }),
    prepare: (settings, world) => {
      const controller = make(settings)
      return controller && prepareController(controller, world)
    },
  }
}

/** Two controllers under one name. */
function both(first: PreparedController, second: PreparedController): PreparedController {
  return {
    start(signal) {
      const done = Promise.all([first.start(signal).done, second.start(signal).done])
      return { done: done.then(() => undefined) }
    },
  }
}

export const catalogue: readonly CatalogueEntry[] = [
  pure('serviceaccount-token-controller', 'serviceaccount-token', undefined, createServiceAccountTokenController, 'concurrent-serviceaccount-token-syncs'),
  pure('endpoints-controller', 'endpoint', 'endpoint-controller', createEndpointsController, 'concurrent-endpoint-syncs'),
  pure('endpointslice-controller', 'endpointslice', 'endpointslice-controller', createEndpointSliceController, 'concurrent-service-endpoint-syncs'),
  pure('endpointslice-mirroring-controller', 'endpointslicemirroring', 'endpointslicemirroring-controller', createEndpointSliceMirroringController, 'mirroring-concurrent-service-endpoint-syncs'),
  pure('replicationcontroller-controller', 'replicationcontroller', 'replication-controller', createReplicationControllerController, 'concurrent-rc-syncs'),
  pure('pod-garbage-collector-controller', 'podgc', 'pod-garbage-collector', createPodGarbageCollector),
  { name: 'namespace-controller', alias: 'namespace', serviceAccount: 'namespace-controller', concurrencyFlag: 'concurrent-namespace-syncs', prepare: (_settings, world) => prepareNamespaceController(world) },
  pure('serviceaccount-controller', 'serviceaccount', 'service-account-controller', createServiceAccountController),
  { name: 'garbage-collector-controller', alias: 'garbagecollector', serviceAccount: 'generic-garbage-collector', prepare: (_settings, world) => prepareGarbageCollector(world) },
  pure('daemonset-controller', 'daemonset', 'daemon-set-controller', createDaemonSetController, 'concurrent-daemonset-syncs'),
  {
    name: 'job-controller', alias: 'job', serviceAccount: 'job-controller', concurrencyFlag: 'concurrent-job-syncs',
    prepare: (_settings, world) => both(prepareController(createJobController(), world), prepareController(createOrphanedJobPodReleaser(), world)),
  },
  pure('deployment-controller', 'deployment', 'deployment-controller', createDeploymentController, 'concurrent-deployment-syncs'),
  pure('replicaset-controller', 'replicaset', 'replicaset-controller', createReplicaSetController, 'concurrent-replicaset-syncs'),
  pure('statefulset-controller', 'statefulset', 'statefulset-controller', createStatefulSetController, 'concurrent-statefulset-syncs'),
  pure('cronjob-controller', 'cronjob', 'cronjob-controller', createCronJobController, 'concurrent-cron-job-syncs'),
  pure('ttl-after-finished-controller', 'ttl-after-finished', 'ttl-after-finished-controller', createTtlAfterFinishedController, 'concurrent-ttl-after-finished-syncs'),
  pure('node-ipam-controller', 'nodeipam', 'node-controller', createNodeIpamController),
  {
    name: 'node-lifecycle-controller', alias: 'nodelifecycle', serviceAccount: 'node-controller',
    prepare: (settings, world) => both(prepareController(createNodeMonitor(settings), world), prepareController(createNodeTainter(), world)),
  },
  pure('taint-eviction-controller', 'taint-eviction', 'node-controller', createTaintEvictionController),
  {
    name: 'horizontal-pod-autoscaler-controller', alias: 'horizontalpodautoscaling', serviceAccount: 'horizontal-pod-autoscaler', concurrencyFlag: 'concurrent-horizontal-pod-autoscaler-syncs',
    prepare: (settings, world) => prepareAutoscaler(settings, world),
  },
  pure('resourcequota-controller', 'resourcequota', 'resourcequota-controller', createResourceQuotaController, 'concurrent-resource-quota-syncs'),
  pure('disruption-controller', 'disruption', 'disruption-controller', createDisruptionController, 'concurrent-disruption-syncs'),
  pure('ttl-controller', 'ttl', 'ttl-controller', createTtlController),
  pure('persistentvolume-binder-controller', 'persistentvolume-binder', 'persistent-volume-binder', createPersistentVolumeBinder),
  pure('persistentvolumeclaim-protection-controller', 'pvc-protection', 'pvc-protection-controller', createClaimProtectionController),
  pure('persistentvolume-protection-controller', 'pv-protection', 'pv-protection-controller', createVolumeProtectionController),
  pure('clusterrole-aggregation-controller', 'clusterrole-aggregation', 'clusterrole-aggregation-controller', createClusterRoleAggregationController),
  {
    name: 'certificatesigningrequest-signing-controller', alias: 'csrsigning', serviceAccount: 'certificate-controller',
    prepare: (settings, world) => (settings.clusterSigning ? prepareCertificateSigner(settings.clusterSigning, world) : undefined),
  },
  { name: 'certificatesigningrequest-approving-controller', alias: 'csrapproving', serviceAccount: 'certificate-controller', prepare: (_settings, world) => prepareCertificateApprover(world) },
  pure('certificatesigningrequest-cleaner-controller', 'csrcleaner', 'certificate-controller', createCertificateCleaner),
  pure('root-ca-certificate-publisher-controller', 'root-ca-cert-publisher', 'root-ca-cert-publisher', createRootCaPublisher),
]

/** The name in --controllers is none of ours. */
export class UnknownControllerError extends Error {
  override readonly name = 'UnknownControllerError'
}

/** Entries chosen by `*`, `name` and `-name`; a name wins over `*`. @throws UnknownControllerError */
export function selectControllers(selection: readonly string[]): readonly CatalogueEntry[] {
  const byName = new Map(catalogue.flatMap((entry) => [[entry.name, entry], [entry.alias, entry]] as const))
  const chosen = new Set<CatalogueEntry>()
  const excluded = new Set<CatalogueEntry>()
  for (const item of selection) {
    if (item === '*') continue
    const name = item.startsWith('-') ? item.slice(1) : item
    const entry = byName.get(name)
    if (!entry) throw new UnknownControllerError(`${JSON.stringify(name)} is not in the list of known controllers`)
    // The first mention of a controller counts.
    if (chosen.has(entry) || excluded.has(entry)) continue
    if (item.startsWith('-')) excluded.add(entry)
    else chosen.add(entry)
  }
  const star = selection.includes('*')
  return catalogue.filter((entry) => chosen.has(entry) || (star && !excluded.has(entry) && !entry.disabledByDefault))
}
