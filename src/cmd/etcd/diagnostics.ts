// What --enable-pprof and --enable-distributed-tracing put before the servers.
import { etcdVersion } from '../../control-plane/etcd/version.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import type { Logger } from '../../lib/component-base/log.ts'
import { PprofEndpoints } from '../../lib/component-base/pprof/pprof-endpoints.ts'
import { SpanExporter } from '../../lib/component-base/tracing/span-exporter.ts'
import { Tracer } from '../../lib/component-base/tracing/span.ts'
import type { EtcdSettings } from './check-settings.ts'

export interface Diagnostics extends AsyncDisposable {
  readonly tracer?: Tracer
  readonly pprof?: PprofEndpoints
}

export function openDiagnostics(flags: EtcdSettings, logger: Logger): Diagnostics {
  const opened = new AsyncDisposableStack()
  const pprof = flags['enable-pprof'] ? opened.use(new PprofEndpoints(realClock)) : undefined
  if (pprof) logger.info('pprof is enabled', { path: '/debug/pprof' })
  const exporter = flags['enable-distributed-tracing'] ? opened.use(openExporter(flags, logger)) : undefined
  const tracer = exporter && new Tracer({ clock: realClock, random: realRandom, samplesPerMillion: flags['distributed-tracing-sampling-rate'], export: (span) => exporter.add(span) })
  return { ...(pprof && { pprof }), ...(tracer && { tracer }), [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

function openExporter(flags: EtcdSettings, logger: Logger): SpanExporter {
  const [address, service, instance] = [flags['distributed-tracing-address'], flags['distributed-tracing-service-name'], flags['distributed-tracing-instance-id']]
  logger.info('distributed tracing enabled', { address, 'service-name': service, 'service-instance-id': instance, 'sampling-rate': flags['distributed-tracing-sampling-rate'] }, 2)
  return new SpanExporter({
    address, resource: { 'service.name': service, ...(instance === '' ? {} : { 'service.instance.id': instance }) }, scope: { name: 'k8ts/etcd', version: etcdVersion }, clock: realClock, logger,
  })
}
