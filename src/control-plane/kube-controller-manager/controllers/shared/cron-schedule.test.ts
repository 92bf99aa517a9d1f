import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextTime, parseCron } from './cron-schedule.ts'

function times(schedule: string, from: string, count: number, zone = 'UTC'): readonly string[] {
  const parsed = parseCron(schedule)
  assert.ok(parsed, schedule)
  const result: string[] = []
  for (let at = nextTime(parsed, Date.parse(from), zone); at !== undefined && result.length < count; at = nextTime(parsed, at, zone)) result.push(new Date(at).toISOString().slice(0, 16))
  return result
}

test('schedules say when they are due', () => {
  assert.deepEqual(times('*/20 * * * *', '2026-01-01T00:00:00Z', 3), ['2026-01-01T00:20', '2026-01-01T00:40', '2026-01-01T01:00'])
  assert.deepEqual(times('0 9-17/4 * * mon-fri', '2026-01-02T12:00:00Z', 4), ['2026-01-02T13:00', '2026-01-02T17:00', '2026-01-05T09:00', '2026-01-05T13:00'])
  assert.deepEqual(times('@monthly', '2026-01-01T00:00:00Z', 2), ['2026-02-01T00:00', '2026-03-01T00:00'])
  assert.deepEqual(times('0 0 29 2 *', '2026-01-01T00:00:00Z', 1), ['2028-02-29T00:00'])
  assert.deepEqual(times('0 0 31 2 *', '2026-01-01T00:00:00Z', 1), [])
  // Both days restricted: either suffices.
  assert.deepEqual(times('0 0 13 * 5', '2026-02-01T00:00:00Z', 3), ['2026-02-06T00:00', '2026-02-13T00:00', '2026-02-20T00:00'])
  assert.deepEqual(times('@every 90m', '2026-01-01T00:00:00Z', 2), ['2026-01-01T01:30', '2026-01-01T03:00'])
})

test('time zones: an hour that is skipped has no times, one that is repeated has them once', () => {
  assert.deepEqual(times('30 9 * * *', '2026-01-01T00:00:00Z', 1, 'Asia/Kolkata'), ['2026-01-01T04:00'])
  assert.deepEqual(times('30 2 * * *', '2026-03-28T00:00:00Z', 3, 'Europe/Berlin'), ['2026-03-28T01:30', '2026-03-30T00:30', '2026-03-31T00:30'])
  assert.deepEqual(times('30 2 * * *', '2026-10-24T12:00:00Z', 2, 'Europe/Berlin'), ['2026-10-25T00:30', '2026-10-26T01:30'])
})

test('what is no schedule is refused', () => {
  for (const text of ['', '* * * *', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * * 13 *', '* * * * 7', '*/0 * * * *', '5-1 * * * *', 'a * * * *', '@never', '1,,2 * * * *']) assert.equal(parseCron(text), undefined, text)
})
