// Volumes and environment: what the container finds where the spec put it, and what arrives later.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { configMaps, secrets, serviceAccounts } from '../../../src/lib/client/resource-keys.ts'
import { eventually } from '../run-program.ts'
import { container, idle, namespace, shell, signal } from './world.ts'
import type { NodeWorld } from './world.ts'

export function volumeTests(world: () => NodeWorld): void {
  describe('volumes and environment', { concurrency: 6 }, () => {
    test('emptyDir: shared by the containers, on disk and in memory with a size, gone with the pod', async () => {
      const volumeMounts = [{ name: 'disk', mountPath: '/disk' }, { name: 'memory', mountPath: '/memory' }]
      await world().createPod('empty', {
        volumes: [{ name: 'disk', emptyDir: {} }, { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } }],
        containers: [shell('main', idle, { volumeMounts }), shell('other', idle, { volumeMounts })],
      })
      const pod = await world().ready('empty')
      await world().inPod('empty', 'echo shared > /disk/x; echo fast > /memory/x', 'main')
      assert.equal(await world().inPod('empty', 'cat /disk/x /memory/x', 'other'), 'shared\nfast\n')
      assert.match(await world().inPod('empty', 'grep " /memory " /proc/mounts', 'main'), /^tmpfs \/memory tmpfs \S*size=2048k/)
      assert.match(await world().inPod('empty', 'dd if=/dev/zero of=/memory/big bs=1M count=4 2>&1 || true', 'main'), /No space left/)
      await world().deletePod('empty')
      await world().gone('empty')
      await eventually('nothing mounted', async () => ((await world().onNode('grep', ['-c', pod.metadata.uid, '/proc/mounts'])).stdout.trim() === '0' ? true : undefined))
    })

    test('hostPath: folders, files, made when asked, refused when of another type', async () => {
      const folder = join(world().dataDir, 'host')
      mkdirSync(folder)
      writeFileSync(join(folder, 'file'), 'from the host\n')
      await world().createPod('host-path', {
        volumes: [{ name: 'folder', hostPath: { path: folder, type: 'Directory' } }, { name: 'file', hostPath: { path: join(folder, 'file'), type: 'File' } }, { name: 'made', hostPath: { path: join(folder, 'a/b'), type: 'DirectoryOrCreate' } }],
        containers: [shell('main', idle, { volumeMounts: [{ name: 'folder', mountPath: '/folder' }, { name: 'file', mountPath: '/file', readOnly: true }, { name: 'made', mountPath: '/made' }, { name: 'folder', mountPath: '/sub', subPath: 'deep/er' }] })],
      })
      await world().createPod('host-path-bad', { volumes: [{ name: 'v', hostPath: { path: join(folder, 'file'), type: 'Directory' } }], containers: [shell('main', idle, { volumeMounts: [{ name: 'v', mountPath: '/v' }] })] })
      await world().ready('host-path')
      assert.equal(await world().inPod('host-path', 'cat /file; echo back > /folder/back; echo deep > /sub/x; touch /made/y; touch /file 2>&1 || true'), 'from the host\ntouch: /file: Read-only file system\n')
      assert.equal(readFileSync(join(folder, 'back'), 'utf8') + readFileSync(join(folder, 'deep/er/x'), 'utf8'), 'back\ndeep\n')
      readFileSync(join(folder, 'a/b/y'))
      await world().eventWhen('host-path-bad', 'FailedMount', /hostPath type check failed/)
    })

    test('configMap and secret volumes with items and modes; an update arrives; optional ones may lack', async () => {
      await world().createConfigMap('config', { 'a.txt': 'one', 'b.txt': 'bee' })
      await world().createSecret('secret', { key: 'hush' })
      await world().createPod('config', {
        volumes: [
          { name: 'config', configMap: { name: 'config' } }, { name: 'secret', secret: { secretName: 'secret', defaultMode: 0o400, items: [{ key: 'key', path: 'deep/key' }] } },
          { name: 'lacking', configMap: { name: 'nowhere', optional: true } },
        ],
        containers: [shell('main', idle, { volumeMounts: [{ name: 'config', mountPath: '/config' }, { name: 'secret', mountPath: '/secret' }, { name: 'lacking', mountPath: '/lacking' }, { name: 'config', mountPath: '/one-file', subPath: 'b.txt' }] })],
      })
      await world().ready('config')
      assert.equal(await world().inPod('config', 'cat /config/a.txt; ls -L /config; cat /secret/deep/key; stat -L -c " %a" /secret/deep/key; ls /lacking; cat /one-file; grep -o "tmpfs /secret" /proc/mounts'), 'onea.txt\nb.txt\nhush 400\nbeetmpfs /secret\n')
      await world().client.resource(configMaps).patch(namespace, 'config', 'application/merge-patch+json', { data: { 'a.txt': 'two', 'b.txt': null, 'c.txt': 'new' } }, signal)
      await world().client.resource(secrets).patch(namespace, 'secret', 'application/merge-patch+json', { stringData: { key: 'changed' } }, signal)
      await eventually('the update arrives', async () => ((await world().inPod('config', 'cat /config/a.txt; ls /config; cat /secret/deep/key')) === 'twoa.txt\nc.txt\nchanged' ? true : undefined), 10_000)
    })

    test('a pod waits for a configMap that is not there yet', async () => {
      await world().createPod('early', { volumes: [{ name: 'v', configMap: { name: 'late' } }], containers: [shell('main', idle, { volumeMounts: [{ name: 'v', mountPath: '/v' }] })] })
      await world().eventWhen('early', 'FailedMount', /MountVolume\.SetUp failed for volume "v" : configmap "late" not found/)
      await world().createConfigMap('late', { x: 'here' })
      await world().ready('early')
      assert.equal(await world().inPod('early', 'cat /v/x'), 'here')
    })

    test('a projected volume joins sources; its token is this pod\'s, for the audience asked for, and the API server knows it', async () => {
      await world().createConfigMap('projected', { c: 'config' })
      await world().createSecret('projected', { s: 'secret' })
      await world().createPod('projected', {
        automountServiceAccountToken: true,
        volumes: [{ name: 'v', projected: { sources: [
          { configMap: { name: 'projected' } }, { secret: { name: 'projected', items: [{ key: 's', path: 'sub/s' }] } }, { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
          { serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 3600 } },
        ] } }],
        containers: [shell('main', idle, { volumeMounts: [{ name: 'v', mountPath: '/v' }] })],
      })
      const pod = await world().ready('projected')
      assert.equal(await world().inPod('projected', 'cat /v/c /v/sub/s /v/name'), 'configsecretprojected')
      const review = async (path: string, audiences: readonly string[]): Promise<unknown> => (await world().post('/apis/authentication.k8s.io/v1/tokenreviews', {
        apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: (await world().inPod('projected', `cat ${path}`)).trim(), audiences },
      }))['status']
      const own = '/var/run/secrets/kubernetes.io/serviceaccount'
      const user = { username: 'system:serviceaccount:default:default', pod: pod.metadata.name }
      const shape = (status: unknown): unknown => {
        const { authenticated, user: who } = status as { authenticated?: boolean; user?: { username: string; extra?: Record<string, string[]> } } // cast: a TokenReview's status
        return authenticated ? { username: who?.username, pod: who?.extra?.['authentication.kubernetes.io/pod-name']?.[0] } : false
      }
      assert.deepEqual(shape(await review(`${own}/token`, [])), user)
      assert.deepEqual(shape(await review('/v/token', ['vault'])), user)
      assert.equal(shape(await review('/v/token', ['other'])), false)
      assert.match(await world().inPod('projected', `cat ${own}/namespace; head -1 ${own}/ca.crt`), /^default-----BEGIN CERTIFICATE-----/)
      // Used as the pod would, through the Service `kubernetes`: TLS from the node, for want of a TLS client in the image.
      const token = (await world().inPod('projected', `cat ${own}/token`)).trim()
      const host = (await world().inPod('projected', 'echo -n https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT')).trim()
      await world().inPod('projected', `cat ${own}/ca.crt`).then((ca) => writeFileSync(join(world().dataDir, 'pod-ca.crt'), ca))
      const answer = await world().onNode('curl', ['-s', '--cacert', join(world().dataDir, 'pod-ca.crt'), '-H', `Authorization: Bearer ${token}`, `${host}/api/v1/namespaces/default/pods`])
      assert.match(answer.stdout, /pods is forbidden: User \\"system:serviceaccount:default:default\\" cannot list resource/)
      await world().client.resource(serviceAccounts).get(namespace, 'default', signal)
    })

    test('downward API: files and variables; labels that change arrive', async () => {
      await world().createPod('downward', {
        volumes: [{ name: 'v', downwardAPI: { items: [
          { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }, { path: 'annotation', fieldRef: { fieldPath: "metadata.annotations['note']" } }, { path: 'memory', resourceFieldRef: { containerName: 'main', resource: 'limits.memory', divisor: '1Mi' } },
        ] } }],
        containers: [shell('main', idle, {
          volumeMounts: [{ name: 'v', mountPath: '/v' }], resources: { requests: { cpu: '50m' }, limits: { memory: '32Mi' } },
          env: [
            ...[['NAME', 'metadata.name'], ['UID', 'metadata.uid'], ['NODE', 'spec.nodeName'], ['POD_IP', 'status.podIP'], ['HOST_IP', 'status.hostIP'], ['ACCOUNT', 'spec.serviceAccountName'], ['LABEL', "metadata.labels['app']"]]
              .map(([name = '', fieldPath = '']) => ({ name, valueFrom: { fieldRef: { fieldPath } } })),
            { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
          ],
        })],
      }, { labels: { app: 'downward' }, annotations: { note: 'said' } })
      const pod = await world().ready('downward')
      assert.equal(await world().inPod('downward', 'echo $NAME $UID $NODE $POD_IP $HOST_IP $ACCOUNT $LABEL $CPU; cat /v/labels; echo; cat /v/annotation; echo; cat /v/memory'),
        `downward ${pod.metadata.uid} node-1 ${pod.status?.podIP} ${world().nodeIp()} default downward 50\napp="downward"\nsaid\n32`)
      assert.equal((await world().kubectl(['label', 'pod', 'downward', 'fresh=yes'])).code, 0)
      await eventually('the label arrives', async () => (/fresh="yes"/.test(await world().inPod('downward', 'cat /v/labels')) ? true : undefined), 10_000)
    })

    test('environment: values, expansion, keys, whole configMaps and secrets with prefixes, Services', async () => {
      await world().createConfigMap('env', { one: '1', two: '2' })
      await world().createSecret('env', { three: '3' })
      await world().createService('env-service', { ports: [{ port: 1234 }], selector: { app: 'env' } })
      await world().createPod('env', {
        containers: [shell('main', idle, {
          envFrom: [{ configMapRef: { name: 'env' } }, { prefix: 'S_', secretRef: { name: 'env' } }, { configMapRef: { name: 'nowhere', optional: true } }],
          env: [
            { name: 'PLAIN', value: 'plain' }, { name: 'EXPANDED', value: '$(PLAIN)-$(one)-$$(PLAIN)-$(NOT)' }, { name: 'two', value: 'own' },
            { name: 'KEY', valueFrom: { configMapKeyRef: { name: 'env', key: 'one' } } }, { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'env', key: 'three' } } },
            { name: 'LACKING', valueFrom: { secretKeyRef: { name: 'env', key: 'none', optional: true } } },
          ],
        })],
      })
      await world().ready('env')
      assert.equal(await world().inPod('env', 'echo "$one $two $S_three $PLAIN $EXPANDED $KEY $SECRET [$LACKING] $ENV_SERVICE_SERVICE_PORT"'), '1 own 3 plain plain-1-$(PLAIN)-$(NOT) 1 3 [] 1234\n')
      await world().createPod('env-lacking', { containers: [shell('main', idle, { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'nowhere', key: 'x' } } }] })] })
      const refused = await world().podWhen('env-lacking', 'refused', (p) => container(p)?.state?.waiting?.reason === 'CreateContainerConfigError')
      assert.match(container(refused)?.state?.waiting?.message ?? '', /configmap "nowhere" not found/)
    })

    test('host names, hosts file and resolv.conf', async () => {
      await world().createPod('names', {
        hostname: 'my-host', subdomain: 'sub', hostAliases: [{ ip: '10.9.8.7', hostnames: ['elsewhere'] }], dnsPolicy: 'None', dnsConfig: { nameservers: ['10.1.1.1'], searches: ['a.b'], options: [{ name: 'ndots', value: '3' }] },
      })
      const pod = await world().ready('names')
      const text = await world().inPod('names', 'hostname; cat /etc/hosts /etc/resolv.conf')
      assert.match(text, /^my-host\n/)
      assert.match(text, new RegExp(`${pod.status?.podIP}\\s+my-host\\.sub\\.default\\.svc\\.cluster\\.local\\s+my-host`))
      assert.match(text, /10\.9\.8\.7\s+elsewhere/)
      assert.match(text, /search a\.b\n/)
      assert.match(text, /nameserver 10\.1\.1\.1\noptions ndots:3|options ndots:3/)
      await world().createPod('host-network', { hostNetwork: true })
      const onHost = await world().ready('host-network')
      assert.equal(onHost.status?.podIP, world().nodeIp())
      assert.match(await world().inPod('host-network', 'ip addr'), new RegExp(world().nodeIp().replaceAll('.', '\\.')))
    })
  })
}
