import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryDisk } from '../host/memory-disk.ts'
import { removeContainerLogs } from './remove-logs.ts'

test('a removed attempt takes its rotated logs with it, and no other attempt\'s', async () => {
  const disk = createMemoryDisk({ now: () => 0 })
  await disk.makeDirectory('/pods/p/c')
  for (const name of ['1.log', '1.log.20261122-101010', '1.log.20261122-101010.gz', '11.log', '2.log']) await disk.writeFile(`/pods/p/c/${name}`, new Uint8Array(), 0o644)
  await removeContainerLogs(disk, '/pods/p/c/1.log')
  assert.deepEqual([...await disk.list('/pods/p/c')].sort(), ['11.log', '2.log'])
  await removeContainerLogs(disk, '')
  await removeContainerLogs(disk, '/gone/0.log')
})
