import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatAddress, gatewayOf, macOf, nextAddress, parseAddress, parseRange } from './address-ranges.ts'
import { hostPortRules, masqueradeRules, missingJumps, removalRules } from './host-ports.ts'
import { createVeth, frame, parseReplies } from './netlink-messages.ts'

test('addresses go round: the one just freed comes last; gateway and broadcast never', () => {
  const range = parseRange('10.1.2.9/29')
  assert.ok(range)
  assert.equal(formatAddress(gatewayOf(range)), '10.1.2.9')
  const taken = new Set<number>()
  const given: string[] = []
  let previous = 0
  for (;;) {
    const next = nextAddress(range, taken, previous)
    if (next === undefined) break
    given.push(formatAddress(next))
    taken.add(next)
    previous = next
  }
  assert.deepEqual(given, ['10.1.2.10', '10.1.2.11', '10.1.2.12', '10.1.2.13', '10.1.2.14'])
  taken.delete(parseAddress('10.1.2.11') ?? 0)
  taken.delete(parseAddress('10.1.2.13') ?? 0)
  assert.equal(formatAddress(nextAddress(range, taken, parseAddress('10.1.2.11') ?? 0) ?? 0), '10.1.2.13')
  assert.deepEqual(macOf(parseAddress('10.1.2.3') ?? 0), Uint8Array.of(0x0a, 0x58, 10, 1, 2, 3))
  for (const bad of ['10.1.2/24', '10.1.2.300/24', '10.1.2.3/33', '10.1.2.3', 'fd00::/64']) assert.equal(parseRange(bad), undefined, bad)
})

test('rules are written whole, jumps only where they lack', () => {
  const rules = hostPortRules([{ ip: '10.1.2.3', portMappings: [{ hostPort: 8080, containerPort: 80 }, { containerPort: 81 }, { hostPort: 53, containerPort: 53, protocol: 'UDP', hostIp: '1.2.3.4' }] }])
  assert.match(rules, /^\*nat\n:K8TS-HOSTPORT - /)
  assert.match(rules, /-A K8TS-HOSTPORT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10\.1\.2\.3:80\n/)
  assert.match(rules, /-A K8TS-HOSTPORT -d 1\.2\.3\.4 -p udp -m udp --dport 53 /)
  assert.ok(!rules.includes(':81'))
  const saved = '-A PREROUTING -m addrtype --dst-type LOCAL -j K8TS-HOSTPORT\n:K8TS-HOSTPORT - [0:0]\n'
  assert.equal(missingJumps(saved).length, 3)
  assert.equal(removalRules(saved), '*nat\n-D PREROUTING -m addrtype --dst-type LOCAL -j K8TS-HOSTPORT\n-F K8TS-HOSTPORT\n-X K8TS-HOSTPORT\nCOMMIT\n')
  assert.match(masqueradeRules('10.1.2.0/24', ['10.0.0.0/8'], []), /-s 10\.1\.2\.0\/24 -d 10\.0\.0\.0\/8 -j RETURN\n-A K8TS-MASQUERADE -s 10\.1\.2\.0\/24 ! -d 224\.0\.0\.0\/4 -j MASQUERADE\n/)
})

test('netlink messages are framed and aligned; acknowledgements are read', () => {
  const bytes = frame(createVeth({ name: 'veth0', mtu: 1500, bridge: 7, peerName: 'eth0', peerMac: new Uint8Array(6), peerNamespace: 5 }), 42)
  assert.deepEqual([bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt32LE(8), bytes.length % 4], [bytes.length, 16, 42, 0])
  const ack = Buffer.alloc(36)
  ack.writeUInt32LE(36, 0)
  ack.writeUInt16LE(2, 4)
  ack.writeUInt32LE(42, 8)
  ack.writeInt32LE(-17, 16)
  assert.deepEqual(parseReplies(ack), [{ sequence: 42, kind: 'ack', errno: 17 }])
  assert.deepEqual(parseReplies(Buffer.alloc(16)), [])
})
