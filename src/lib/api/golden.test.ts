// Every golden object of a served kind: JSON → object → protobuf gives the golden bytes, and protobuf → object → JSON gives the golden text.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJsonBytes } from './json-codec.ts'
import { decodeProtobuf, encodeProtobuf } from './protobuf-codec.ts'
import { typeIdOf } from './type-lookup.ts'

const folder = join(import.meta.dirname, '../../../../shared/reference/wire/golden')
const present = existsSync(folder)
// Go writes these as \u escapes.
const escapeHtml = (text: string): string => text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
/** Kinds without a served resource that the API server reads or writes all the same. */
const alsoNeeded = /^(admission\.k8s\.io\.v1|authentication\.k8s\.io\.v1|authorization\.k8s\.io\.v1|apidiscovery\.k8s\.io\.v2)\./

test('golden objects round-trip byte for byte', { skip: present ? false : `golden files are not here: ${folder}` }, () => {
  const failures: string[] = []
  let checked = 0
  for (const file of readdirSync(folder)) {
    if (!file.endsWith('.json')) continue
    const name = file.slice(0, -'.json'.length)
    const match = /^(?:(.+)\.)?(v\d+(?:(?:alpha|beta)\d+)?)\.([A-Za-z]+)$/.exec(name)
    if (match === null) continue
    const [, goldenGroup = '', version = '', kind = ''] = match
    const group = goldenGroup === 'core' ? '' : goldenGroup
    const type = typeIdOf(group, version, kind)
    if (type === undefined) { if (alsoNeeded.test(name)) failures.push(`${name}: no type`); continue }
    const json = readFileSync(join(folder, file))
    const pb = readFileSync(join(folder, `${name}.pb`))
    checked++
    try {
      const decoded = decodeJsonBytes(type, json)
      if (!decoded.ok) { failures.push(`${name}: ${decoded.error}`); continue }
      if (decoded.unknownFields.length > 0) failures.push(`${name}: unknown ${decoded.unknownFields.slice(0, 5).join(' ')}`)
      if (escapeHtml(JSON.stringify(decoded.object, null, 2)) !== json.toString('utf8').trimEnd()) failures.push(`${name}: JSON → JSON differs`)
      const bytes = encodeProtobuf(type, decoded.object)
      if (Buffer.compare(bytes, pb) !== 0) failures.push(`${name}: JSON → protobuf differs at byte ${[...bytes].findIndex((b, i) => b !== pb[i])} of ${pb.length}`)
      const back = decodeProtobuf(pb, type)
      if (escapeHtml(JSON.stringify(back, null, 2)) !== json.toString('utf8').trimEnd()) failures.push(`${name}: protobuf → JSON differs`)
    } catch (error) { failures.push(`${name}: ${String(error)}`) }
  }
  assert.ok(checked > 130, `only ${checked} golden kinds found`)
  assert.deepEqual(failures, [])
})
