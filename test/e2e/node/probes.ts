// Probes of all kinds against real processes, and what a pod's readiness does to a Service.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { endpointSlices } from '../../../src/lib/client/resource-keys.ts'
import { eventually } from '../run-program.ts'
import { container, idle, isReady, namespace, nodeProgram, nodeVolumes, restarts, shell, signal } from './world.ts'
import type { NodeWorld } from './world.ts'

const serve = 'mkdir -p /www; echo ok > /www/healthz; exec httpd -f -p 8080 -h /www'
const quick = { periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 3 }

/** Answers grpc.health.v1.Health/Check with SERVING over plain HTTP/2, for as long as /tmp/sick isn't there. */
const grpcServer = `const { createServer } = require('node:http2'); const { existsSync } = require('node:fs')
createServer().on('stream', (stream) => {
  stream.resume()
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(Buffer.from([0, 0, 0, 0, 2, 8, existsSync('/tmp/sick') ? 2 : 1]))
}).listen(5000, '0.0.0.0')
`

export function probeTests(world: () => NodeWorld): void {
  describe('probes', { concurrency: 6 }, () => {
    test('liveness by exec: fails, is killed and started again', async () => {
      await world().createPod('live-exec', { containers: [shell('main', `touch /tmp/well; ${idle}`, { livenessProbe: { exec: { command: ['test', '-e', '/tmp/well'] }, ...quick } })] })
      await world().ready('live-exec')
      await world().inPod('live-exec', 'rm /tmp/well')
      await world().podWhen('live-exec', 'restarted', (p) => restarts(p) === 1 && isReady(p))
      await world().eventWhen('live-exec', 'Unhealthy', /Liveness probe failed/)
      await world().eventWhen('live-exec', 'Killing', /Container main failed liveness probe, will be restarted/)
    })

    test('liveness by HTTP', async () => {
      await world().createPod('live-http', { containers: [shell('main', serve, { livenessProbe: { httpGet: { path: '/healthz', port: 8080 }, initialDelaySeconds: 1, ...quick } })] })
      await world().ready('live-http')
      await world().inPod('live-http', 'rm /www/healthz')
      await world().podWhen('live-http', 'restarted', (p) => restarts(p) === 1)
      await world().eventWhen('live-http', 'Unhealthy', /Liveness probe failed: HTTP probe failed with statuscode: 404/)
    })

    test('liveness by TCP', async () => {
      await world().createPod('live-tcp', { containers: [shell('main', `httpd -f -p 8080 & ${idle}`, { livenessProbe: { tcpSocket: { port: 8080 }, initialDelaySeconds: 1, ...quick } })] })
      await world().ready('live-tcp')
      await world().inPod('live-tcp', 'killall httpd')
      await world().podWhen('live-tcp', 'restarted', (p) => restarts(p) === 1)
      await world().eventWhen('live-tcp', 'Unhealthy', /Liveness probe failed: dial tcp .*:8080: connect: connection refused/)
    })

    test('by gRPC: SERVING is ready, NOT_SERVING is not', async () => {
      await world().createPod('grpc', { volumes: nodeVolumes, containers: [{ ...nodeProgram(grpcServer), readinessProbe: { grpc: { port: 5000 }, ...quick } }] })
      await world().ready('grpc')
      await world().inPod('grpc', 'touch /tmp/sick')
      await world().podWhen('grpc', 'not ready', (p) => !isReady(p))
      await world().eventWhen('grpc', 'Unhealthy', /Readiness probe failed: .*NOT_SERVING/)
    })

    test('a startup probe holds the others back', async () => {
      await world().createPod('startup', {
        containers: [shell('main', idle, {
          startupProbe: { exec: { command: ['test', '-e', '/tmp/started'] }, periodSeconds: 1, failureThreshold: 30 }, livenessProbe: { exec: { command: ['test', '-e', '/tmp/started'] }, ...quick },
        })],
      })
      await world().eventWhen('startup', 'Unhealthy', /Startup probe failed/)
      await eventually('two startup probes', async () => ((await world().eventsOf('startup')).some((e) => e.reason === 'Unhealthy' && (e.count ?? 0) >= 2) ? true : undefined))
      const waiting = await world().pod('startup')
      assert.deepEqual([container(waiting)?.started, container(waiting)?.ready, restarts(waiting)], [false, false, 0])
      await world().inPod('startup', 'touch /tmp/started')
      const pod = await world().ready('startup')
      assert.deepEqual([container(pod)?.started, restarts(pod)], [true, 0])
    })

    test('readiness decides whether a Service sends requests to the pod', async () => {
      await world().createPod('gated', { containers: [shell('main', serve, { readinessProbe: { exec: { command: ['test', '-e', '/tmp/ready'] }, ...quick } })] })
      const { spec } = await world().createService('gated', { selector: { app: 'gated' }, ports: [{ port: 80, targetPort: 8080 }] })
      const isInService = async (): Promise<boolean> => {
        const { items } = await world().client.resource(endpointSlices).list(namespace, { labelSelector: 'kubernetes.io/service-name=gated' }, signal)
        return items.some((slice) => slice.endpoints?.some((e) => e.conditions?.ready === true))
      }
      const fetchIt = async (): Promise<number> => (await world().onNode('curl', ['-s', '-m', '2', '-o', '/dev/null', `http://${spec?.clusterIP}/healthz`])).code
      await world().podWhen('gated', 'running', (p) => p.status?.phase === 'Running')
      assert.equal(await isInService(), false)
      await eventually('refused at once', async () => ((await fetchIt()) === 7 ? true : undefined), 5000)
      await world().inPod('gated', 'touch /tmp/ready')
      await world().ready('gated')
      await eventually('in the Service', async () => ((await isInService()) && (await fetchIt()) === 0 ? true : undefined), 5000)
      await world().inPod('gated', 'rm /tmp/ready')
      await world().podWhen('gated', 'not ready', (p) => !isReady(p))
      await eventually('out of the Service', async () => (!(await isInService()) && (await fetchIt()) === 7 ? true : undefined), 5000)
      assert.equal(restarts(await world().pod('gated')), 0)
    })
  })
}
