import { test } from 'node:test'
import assert from 'node:assert/strict'
import { resolveUser } from './image-user.ts'
import type { UserRequest } from './image-user.ts'
import { signalNumber, stopSignalOf } from './signals.ts'

const passwd = 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:100:web:/home/web:/bin/sh\n1234:x:77:77::/:\n'
const group = 'root:x:0:\nusers:x:100:\nextra:x:200:other,web\n'
const none: UserRequest = { runAsUser: undefined, runAsUsername: '', runAsGroup: undefined, imageUser: '', supplementalGroups: [], strictGroups: false }
const ids = (change: Partial<UserRequest>): readonly unknown[] => { const found = resolveUser({ ...none, ...change }, passwd, group); return 'problem' in found ? ['problem'] : [found.uid, found.gid, found.additionalGids] }

test('user and groups from the image, the pod, or neither', () => {
  assert.deepEqual(ids({}), [0, 0, [0]])
  assert.deepEqual(ids({ imageUser: 'web' }), [1000, 100, [100, 200]])
  assert.deepEqual(ids({ imageUser: 'web:extra' }), [1000, 200, [200]])
  assert.deepEqual(ids({ imageUser: '5:6' }), [5, 6, [6]])
  assert.deepEqual(ids({ imageUser: 'web:extra', runAsUser: 1000 }), [1000, 100, [100, 200]])
  assert.deepEqual(ids({ runAsUser: 1000, runAsGroup: 9, supplementalGroups: [7, 200] }), [1000, 9, [9, 200, 7]])
  assert.deepEqual(ids({ runAsUser: 1000, strictGroups: true, supplementalGroups: [7] }), [1000, 100, [100, 7]])
  assert.deepEqual(ids({ runAsUser: 4000 }), [4000, 0, [0]])
  assert.deepEqual(ids({ imageUser: 'nobody' }), ['problem'])
  assert.deepEqual(ids({ imageUser: 'web:nogroup' }), ['problem'])
  assert.deepEqual(ids({ runAsUser: 2 ** 31 }), ['problem'])
})

test('signals by every name that is used for them', () => {
  assert.deepEqual(['SIGTERM', 'quit', '9', 'SIGNAL_SIGRTMINPLUS3', 'SIGRTMAX-1', 'RTMIN', 'SIGNOPE', '99', ''].map(signalNumber), [15, 3, 9, 37, 63, 34, undefined, undefined, undefined])
  assert.equal(stopSignalOf('SIGNAL_RUNTIME_DEFAULT', 'SIGQUIT'), 3)
  assert.equal(stopSignalOf('SIGNAL_SIGUSR1', 'SIGQUIT'), 10)
  assert.equal(stopSignalOf(undefined, undefined), 15)
})
