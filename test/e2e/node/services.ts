// kube-proxy with real packets: who answers behind a Service, from where, and how soon a change holds.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { describe, test } from 'node:test'
import { services } from '../../../src/lib/client/resource-keys.ts'
import { eventually, run } from '../run-program.ts'
import { namespace, nodeProgram, nodeVolumes, shell, signal } from './world.ts'
import type { NodeWorld } from './world.ts'

const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 }
const server = (name: string): ReturnType<typeof shell> => shell('main', `mkdir -p /www; echo ${name} > /www/index.html; exec httpd -f -v -p 8080 -h /www`, { readinessProbe })
const ports = [{ port: 80, targetPort: 8080 }]

export function serviceTests(world: () => NodeWorld): void {
  const backends = async (app: string, count: number): Promise<readonly string[]> => {
    const names = Array.from({ length: count }, (_, i) => `${app}-${i}`)
    await Promise.all(names.map((name) => world().createPod(name, { containers: [server(name)] }, { labels: { app } })))
    await Promise.all(names.map((name) => world().ready(name)))
    return names
  }
  /** From this machine, outside of the node. */
  const fetchFromHost = async (url: string): Promise<string> => (await run('curl', ['-s', '-m', '1', url])).stdout.trim()
  const fetchFromPod = async (pod: string, url: string): Promise<string> => (await world().inPod(pod, `timeout 3 wget -q -O - ${url} || true`)).trim()
  const urlOf = (service: Awaited<ReturnType<NodeWorld['createService']>>): string => `http://${service.spec?.clusterIP}/`

  describe('Services', { concurrency: 4 }, () => {
    test('requests are spread over the pods; from the host, from a pod, from a backend to itself; a node port from outside', async () => {
      const names = await backends('spread', 3)
      const service = await world().createService('spread', { type: 'NodePort', selector: { app: 'spread' }, ports })
      await eventually('an answer', async () => ((await fetchFromHost(urlOf(service))) !== '' ? true : undefined), 5000)
      const seen = new Set<string>()
      await eventually('all answer', async () => { seen.add(await fetchFromHost(urlOf(service))); return seen.size === 3 ? true : undefined }, 10_000)
      assert.deepEqual([...seen].sort(), names)
      const fromPod = new Set<string>()
      await eventually('all answer a backend, itself too', async () => { fromPod.add(await fetchFromPod('spread-0', urlOf(service))); return fromPod.size === 3 ? true : undefined }, 15_000)
      assert.ok(names.includes(await fetchFromHost(`http://${world().nodeIp()}:${service.spec?.ports?.[0]?.nodePort}/`)))
    })

    test('session affinity: a client stays with its pod', async () => {
      await backends('sticky', 3)
      const service = await world().createService('sticky', { selector: { app: 'sticky' }, ports, sessionAffinity: 'ClientIP' })
      await eventually('an answer', async () => ((await fetchFromHost(urlOf(service))) !== '' ? true : undefined), 5000)
      const answers = await Promise.all(Array.from({ length: 12 }, () => fetchFromHost(urlOf(service))))
      assert.equal(new Set(answers).size, 1, answers.join(' '))
    })

    test('without endpoints a connection is refused at once, from the node, from a pod and from outside', async () => {
      await world().createPod('asker', {})
      const service = await world().createService('nobody', { type: 'NodePort', selector: { app: 'nobody' }, ports })
      await world().ready('asker')
      const curl = ['-s', '-m', '3', '-o', '/dev/null', '-w', '%{time_total}', urlOf(service)]
      const outside = ['-s', '-m', '3', '-o', '/dev/null', '-w', '%{time_total}', `http://${world().nodeIp()}:${service.spec?.ports?.[0]?.nodePort}/`]
      await eventually('refused on the node', async () => ((await world().onNode('curl', curl)).code === 7 ? true : undefined), 5000)
      for (const done of [await world().onNode('curl', curl), await run('curl', curl), await run('curl', outside)]) {
        assert.equal(done.code, 7)
        assert.ok(Number(done.stdout) < 1, done.stdout)
      }
      assert.match(await world().inPod('asker', `timeout 3 wget -q -O - ${urlOf(service)} 2>&1 || true`), /Connection refused/)
    })

    test('externalTrafficPolicy Local keeps the client\'s address', async () => {
      await backends('local', 1)
      const service = await world().createService('local', { type: 'NodePort', selector: { app: 'local' }, ports, externalTrafficPolicy: 'Local' })
      assert.equal(await eventually('an answer', async () => (await fetchFromHost(`http://${world().nodeIp()}:${service.spec?.ports?.[0]?.nodePort}/`)) || undefined, 5000), 'local-0')
      assert.match(await world().logs('local-0'), new RegExp(`${world().hostIp.replaceAll('.', '\\.')}.*response:200`))
    })

    test('UDP', async () => {
      const script = "const s = require('dgram').createSocket('udp4'); s.on('message', (m, from) => s.send('you said ' + m, from.port, from.address)); s.bind(5000)"
      await world().createPod('udp', { volumes: nodeVolumes, containers: [nodeProgram(script)] })
      const service = await world().createService('udp', { selector: { app: 'udp' }, ports: [{ port: 5353, targetPort: 5000, protocol: 'UDP' }] })
      await world().ready('udp')
      const socket = createSocket('udp4')
      try {
        let heard: string | undefined
        socket.on('message', (message) => { heard = String(message) })
        socket.on('error', () => {}) // refused while there are no endpoints
        assert.equal(await eventually('an answer', async () => { socket.send('hello', 5353, service.spec?.clusterIP); return heard }, 10_000), 'you said hello')
      } finally {
        socket.close()
      }
    })

    test('a change holds within a second', async (context) => {
      await backends('quick', 1)
      const tookMs: number[] = []
      for (let round = 0; round < 3; round++) {
        const started = performance.now()
        const service = await world().createService(`quick-${round}`, { selector: { app: 'quick' }, ports })
        await eventually('an answer', async () => ((await fetchFromHost(urlOf(service))) === 'quick-0' ? true : undefined), 5000)
        tookMs.push(performance.now() - started)
        const removed = performance.now()
        await world().client.resource(services).delete(namespace, `quick-${round}`, {}, signal)
        await eventually('no rules', async () => (!(await world().onNode('iptables-save', ['-t', 'nat'])).stdout.includes(`quick-${round}`) ? true : undefined), 5000)
        tookMs.push(performance.now() - removed)
      }
      context.diagnostic(`Service changes held after ${tookMs.map((ms) => Math.round(ms)).join(', ')} ms`)
      assert.ok(tookMs.toSorted((a, b) => a - b)[2]! < 1000, tookMs.join(' ')) // cast: six were measured
    })
  })
}
