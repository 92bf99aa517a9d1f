import { test } from 'node:test'
import assert from 'node:assert/strict'
import { addQuantities, asNumber, canonicalQuantity, compareQuantities, formatQuantity, milliOfText, parseQuantity, quantityMilliValue, quantityOf, quantityValue, subtractQuantities, unitsOfText } from './quantity.ts'

const q = (text: string) => { const parsed = parseQuantity(text); assert.ok(parsed, text); return parsed }

test('canonical spelling', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['0', '0'], ['0Ki', '0'], ['00', '0'], ['1', '1'], ['1000m', '1'], ['1500m', '1500m'], ['0.5', '500m'], ['1.5', '1500m'], ['1000', '1k'], ['1024', '1024'],
    ['1Ki', '1Ki'], ['1024Ki', '1Mi'], ['1000Ki', '1000Ki'], ['1.5Gi', '1536Mi'], ['0.5Ki', '512'], ['1e3', '1e3'], ['1E3', '1E3'], ['1000e0', '1e3'], ['12e6', '12e6'], ['100e3', '100e3'], ['1e2', '100'],
    ['1E', '1E'], ['1Ei', '1Ei'], ['8Ei', '9223372036854775807'], ['0.1n', '1n'], ['-0.1n', '-1n'], ['-250m', '-250m'], ['100u', '100u'], ['1M', '1M'], ['1000M', '1G'], ['.5', '500m'], ['5.', '5.'], ['.', '0'], ['-', '0'], ['+Mi', '0'],
    ['1.234', '1.234'], ['+5', '+5'], ['0.001Ki', '1024m'], ['1Gi', '1Gi'], ['2048Mi', '2Gi'], ['64Mi', '64Mi'], ['0.0001', '100u'], ['123456789012345678901', '123456789012345678901'],
  ]
  for (const [text, expected] of cases) assert.equal(canonicalQuantity(text), expected, text)
})

test('what is no quantity', () => {
  for (const text of ['', ' ', 'abc', '1x', '1KiB', '1ki', '--1', '1 Gi', '1e', '1mm', '0x10', '1e999999999', 'NaN', '１']) assert.equal(parseQuantity(text), undefined, text)
})

test('arithmetic is exact and takes the format of the first that is not zero', () => {
  assert.equal(formatQuantity(addQuantities(q('0.1'), q('0.2'))), '300m')
  assert.equal(formatQuantity(addQuantities(q('0'), q('1Gi'))), '1Gi')
  assert.equal(formatQuantity(subtractQuantities(q('1Gi'), q('512Mi'))), '512Mi')
  assert.equal(compareQuantities(q('1Gi'), q('1073741824')), 0)
  assert.equal(compareQuantities(q('999m'), q('1')), -1)
  assert.equal(formatQuantity(quantityOf(2n ** 31n, 'BinarySI')), '2Gi')
})

test('as numbers: rounded away from zero', () => {
  assert.equal(quantityMilliValue(q('0.0001')), 1)
  assert.equal(quantityValue(q('1500m')), 2)
  assert.equal(quantityValue(q('-1500m')), -2)
  assert.equal(asNumber(q('1500m')), 1.5)
  assert.equal(unitsOfText('1Ki'), 1024)
  assert.equal(milliOfText('2'), 2000)
  assert.equal(milliOfText(undefined), 0)
})
