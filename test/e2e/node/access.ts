// Ways into a running container: logs, exec, attach and port-forward with both kubectls, and CRI on the node's socket.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realClock } from '../../../src/lib/async/real-clock.ts'
import { pods } from '../../../src/lib/client/resource-keys.ts'
import { connectCri } from '../../../src/lib/cri-api/cri-client.ts'
import { eventually, kubectls, root, run } from '../run-program.ts'
import { container, idle, image, namespace, restarts, shell, signal } from './world.ts'
import type { NodeWorld } from './world.ts'

export function accessTests(world: () => NodeWorld): void {
  /** A client that goes on: what it printed so far, and its end. */
  const open = (client: number, args: readonly string[]): { readonly output: () => string; readonly write: (text: string) => void; readonly end: () => void; readonly stop: () => Promise<number>; readonly code: Promise<number> } => {
    const chosen = kubectls[client]
    assert.ok(chosen)
    const child = spawn(chosen.program, [...chosen.args, ...args], { cwd: root, env: { ...process.env, KUBECONFIG: world().cluster.kubeconfig }, stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (piece) => { output += String(piece) })
    child.stderr.on('data', (piece) => { output += String(piece) })
    child.stdin.on('error', () => {})
    const code = new Promise<number>((resolve) => child.on('close', (c) => resolve(c ?? 128)))
    return { output: () => output, write: (text) => child.stdin.write(text), end: () => child.stdin.end(), code, stop: () => { child.kill('SIGTERM'); return code } }
  }

  describe('ways into a container', { concurrency: 6 }, () => {
    for (const [client, { name }] of kubectls.entries()) {
      const own = (what: string): string => `${what}-${client}`

      test(`${name}: exec with arguments, standard input, standard error and exit code`, async () => {
        await world().createPod(own('exec'), {})
        await world().ready(own('exec'))
        const exec = (args: readonly string[], input?: string): ReturnType<NodeWorld['kubectl']> => world().kubectl(['exec', ...args], { client, ...(input !== undefined && { input }) })
        const streams = await exec([own('exec'), '--', 'sh', '-c', 'echo out; echo err >&2; exit 42'])
        assert.deepEqual([streams.code, streams.stdout], [42, 'out\n'], streams.stderr)
        assert.match(streams.stderr, /^err\n/)
        const big = 'x'.repeat(300_000)
        assert.equal((await exec(['-i', own('exec'), '-c', 'main', '--', 'wc', '-c'], big)).stdout.trim(), '300000')
        assert.equal((await exec(['-i', own('exec'), '--', 'cat'], big)).stdout, big)
        assert.deepEqual((await exec([own('exec'), '--', 'true'])).code, 0)
        const missing = await exec([own('exec'), '--', 'no-such-program'])
        assert.notEqual(missing.code, 0)
        assert.match(missing.stderr, /no-such-program/)
        assert.match((await exec([own('exec'), '-c', 'nobody', '--', 'true'])).stderr, /container (name )?"?nobody"?/)
      })

      test(`${name}: a terminal: its size, and its end`, async () => {
        await world().createPod(own('terminal'), {})
        await world().ready(own('terminal'))
        const chosen = kubectls[client]
        assert.ok(chosen)
        const command = ['stty rows 33 cols 101;', chosen.program, ...chosen.args, 'exec', '-it', own('terminal'), '--', 'sh', '-c', '"tty; sleep 0.5; stty size; exit 5"'].join(' ')
        const done = await run('script', ['-qec', command, '/dev/null'], { env: { KUBECONFIG: world().cluster.kubeconfig } })
        assert.match(done.stdout, /\/dev\/pts\/\d+\r\n\S*33 101\r\n/, JSON.stringify(done.stdout))
        assert.equal(done.code, 5)
      })

      test(`${name}: attach sees what the container prints and writes to its input`, async () => {
        await world().createPod(own('attach'), { containers: [shell('main', 'while read line; do echo "got $line"; done; echo over; exit 0', { stdin: true, stdinOnce: true })], restartPolicy: 'Never' })
        await world().ready(own('attach'))
        const attached = open(client, ['attach', '-i', own('attach')])
        attached.write('one\n')
        await eventually('an answer', async () => (/got one/.test(attached.output()) ? true : undefined), 8000)
        attached.write('two\n')
        attached.end()
        assert.equal(await attached.code, 0, attached.output())
        assert.match(attached.output(), /got one\n[^]*got two\n[^]*over/)
        await world().podWhen(own('attach'), 'over', (p) => p.status?.phase === 'Succeeded')
      })

      test(`${name}: port-forward`, async () => {
        await world().createPod(own('forward'), { containers: [shell('main', 'mkdir -p /www; echo forwarded > /www/index.html; exec httpd -f -p 8080 -h /www', { readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } })] })
        await world().ready(own('forward'))
        const forward = open(client, ['port-forward', `pod/${own('forward')}`, ':8080'])
        const port = await eventually('a port', async () => /127\.0\.0\.1:(\d+) -> 8080/.exec(forward.output())?.[1], 8000)
        const fetchIt = (): ReturnType<typeof run> => run('curl', ['-s', '-m', '3', `http://127.0.0.1:${port}/`])
        const answers = await Promise.all([fetchIt(), fetchIt(), fetchIt()])
        assert.deepEqual(answers.map((a) => a.stdout), ['forwarded\n', 'forwarded\n', 'forwarded\n'], forward.output())
        await forward.stop()
      })

      test(`${name}: logs with --follow, --tail, --since-time, --timestamps and --previous`, async () => {
        await world().createPod(own('logs'), { containers: [shell('main', 'for i in 1 2 3; do echo line $i; done; until [ -e /tmp/more ]; do sleep 0.1; done; echo line 4; echo error line >&2; until [ -e /tmp/die ]; do sleep 0.1; done; sleep 0.5; exit 1'), shell('other', `echo from other; ${idle}`)] })
        await world().ready(own('logs'))
        const logs = async (...args: readonly string[]): Promise<string> => (await world().kubectl(['logs', own('logs'), '-c', 'main', ...args], { client })).stdout
        assert.equal(await logs(), 'line 1\nline 2\nline 3\n')
        assert.equal(await logs('--tail=2'), 'line 2\nline 3\n')
        assert.match(await logs('--timestamps', '--tail=1'), /^\d{4}-\d\d-\d\dT[\d:.]+Z line 3\n$/)
        assert.equal(await logs('--limit-bytes=6'), 'line 1')
        assert.match((await world().kubectl(['logs', own('logs'), '--all-containers', '--prefix'], { client })).stdout, /\[pod\/logs-\d\/other\] from other/)
        const follower = open(client, ['logs', '-f', own('logs'), '-c', 'main', '--tail=1'])
        await eventually('the last line', async () => (follower.output().includes('line 3\n') ? true : undefined), 8000)
        await world().inPod(own('logs'), 'touch /tmp/more', 'main')
        await eventually('the next line, as it comes', async () => (follower.output() === 'line 3\nline 4\nerror line\n' ? true : undefined), 5000)
        await world().inPod(own('logs'), 'touch /tmp/die', 'main')
        assert.equal(await follower.code, 0, 'following ends with the container')
        await world().podWhen(own('logs'), 'restarted', (p) => restarts(p) === 1)
        assert.equal(await logs('--previous'), 'line 1\nline 2\nline 3\nline 4\nerror line\n')
      })
    }

    test('long logs are rotated; following goes over the seam, no line is lost', async () => {
      // 10 MiB is where a log is rotated.
      await world().createPod('rotated', { containers: [shell('main', `line=$(head -c 1000 /dev/zero | tr "\\0" x); i=0; yes "$line" | head -n 12000 | nl -ba; until [ -e /tmp/more ]; do sleep 0.1; done; echo after; ${idle}`)] })
      const pod = await world().ready('rotated')
      const folder = join(world().nodeDir(), 'log/pods', `default_rotated_${pod.metadata.uid}`, 'main')
      const follower = open(kubectls.length - 1, ['logs', '-f', 'rotated', '--tail=1'])
      await eventually('a rotated log', async () => (readdirSync(folder).length >= 2 ? true : undefined), 30_000)
      await world().inPod('rotated', 'touch /tmp/more')
      await eventually('the follower sees what comes after', async () => (follower.output().includes('after\n') ? true : undefined), 10_000)
      await follower.stop()
      assert.match(await world().logs('rotated', '--tail=2'), /12000\tx+\nafter\n|^after\n$/)
    })

    test('a CRI client on the node\'s socket: Version, pods, containers, exec, images, statistics', async () => {
      await world().createPod('cri', {})
      const pod = await world().ready('cri')
      using cri = connectCri(world().criSocket(), realClock)
      const version = await cri.runtime.version({ version: '' }, signal)
      assert.deepEqual([version.runtimeName, version.runtimeApiVersion], ['k8ts', 'v1'])
      const sandboxes = (await cri.runtime.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.name': 'cri' } } }, signal)).items ?? []
      assert.deepEqual(sandboxes.map((s) => [s.metadata?.name, s.metadata?.uid, s.state ?? 'SANDBOX_READY']), [['cri', pod.metadata.uid, 'SANDBOX_READY']])
      const containers = (await cri.runtime.listContainers({ filter: { podSandboxId: sandboxes[0]?.id ?? '' } }, signal)).containers ?? []
      const id = containers[0]?.id ?? ''
      assert.equal(container(pod)?.containerID, `k8ts://${id}`)
      const done = await cri.runtime.execSync({ containerId: id, cmd: ['sh', '-c', 'echo hello; exit 3'], timeout: 5 }, signal)
      assert.deepEqual([new TextDecoder().decode(done.stdout), done.exitCode], ['hello\n', 3])
      assert.ok((await cri.images.listImages({}, signal)).images?.some((i) => i.repoTags?.includes('k8ts.local/web:1')))
      assert.ok(((await cri.runtime.containerStats({ containerId: id }, signal)).stats?.memory?.workingSetBytes?.value ?? 0n) > 0n)
    })

    test('an ephemeral container joins a running pod', async () => {
      await world().createPod('debugged', {})
      await world().ready('debugged')
      const ephemeralContainers = [{ name: 'debug', image, command: ['sh', '-c', `echo in; ${idle}`], targetContainerName: 'main' }]
      await world().client.resource(pods).patch(namespace, 'debugged', 'application/strategic-merge-patch+json', { spec: { ephemeralContainers } }, signal, { subresource: 'ephemeralcontainers' })
      await eventually('it runs', async () => ((await world().pod('debugged')).status?.ephemeralContainerStatuses?.[0]?.state?.running ? true : undefined), 10_000)
      assert.match(await world().inPod('debugged', 'ps', 'debug'), /trap/)
    })
  })
}
