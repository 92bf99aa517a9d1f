// Each of the nine promises has a history that breaks it and nothing but it (or what follows from it), and the checker says so.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EventLog, type LoggedEvent } from './event-log.ts'
import { checkWatch, watchGuarantees, type WatchGuarantee, type WatchRecord, type WatchResponse } from './watch-guarantees.ts'

const put = (key: string, revision: number, value: string, more: Partial<LoggedEvent> = {}): LoggedEvent =>
  ({ type: 'PUT', key, value, modRevision: revision, createRevision: revision, version: 1, lease: '0', previous: undefined, ...more })
const remove = (key: string, revision: number): LoggedEvent => ({ type: 'DELETE', key, value: '', modRevision: revision, createRevision: 0, version: 0, lease: '0', previous: undefined })

function theLog(): EventLog {
  const log = new EventLog(1)
  const wrong = [
    log.append(2, [put('a', 2, 'a2')]), log.append(3, [put('b', 3, 'b3')]), log.append(4, [put('a', 4, 'a4', { createRevision: 2, version: 2 })]),
    log.append(5, [put('c', 5, 'c5'), remove('b', 5)]), log.append(6, [put('z', 6, 'z6')]), log.append(7, [remove('a', 7)]),
  ].flat()
  assert.deepEqual(wrong, [])
  return log
}

/** What a watch of [a, d) with previous values delivers of it, a response for each revision. */
function honest(): WatchResponse[] {
  const log = theLog()
  return [{ type: 'created', revision: 7 }, ...[2, 3, 4, 5, 7].map((revision): WatchResponse => ({ type: 'events', events: log.eventsAt(revision) })), { type: 'bookmark', revision: 7 }]
}
const watch = (responses: WatchResponse[], more: Partial<WatchRecord> = {}): WatchRecord => ({ key: 'a', end: 'd', startRevision: 2, previousValues: true, responses, completeTo: 7, ...more })
const change = (at: number, response: WatchResponse): WatchResponse[] => honest().with(at, response)
const events = (...list: LoggedEvent[]): WatchResponse => ({ type: 'events', events: list })
const [e2, e3, e4, e5, , e7] = [2, 3, 4, 5, 6, 7].map((revision) => theLog().eventsAt(revision))
const one = (list: readonly LoggedEvent[] | undefined, at = 0): LoggedEvent => list![at]! // cast: the log above has it

test('an honest watch keeps all promises', () => {
  assert.deepEqual(checkWatch(theLog(), watch(honest())), [])
  assert.deepEqual(checkWatch(theLog(), watch([{ type: 'created', revision: 4 }, events(...e5!), events(one(e7))], { startRevision: 0 })), []) // cast: as above
  assert.deepEqual(checkWatch(theLog(), watch([events(one(e5, 1)), events(one(e7))], { startRevision: 3, noPut: true })), [])
})

const controls: { readonly [name in WatchGuarantee]: WatchRecord } = {
  filtered: watch(honest().toSpliced(5, 0, events(put('z', 6, 'z6')))),
  ordered: watch(change(2, events(one(e4))).with(3, events(one(e3)))),
  unique: watch(honest().toSpliced(2, 0, events(one(e2)))),
  atomic: watch(change(4, events(one(e5, 0))).toSpliced(5, 0, events(one(e5, 1)))),
  bookmarked: watch(honest().toSpliced(4, 0, { type: 'bookmark', revision: 6 })),
  resumable: watch(honest().toSpliced(1, 1)),
  created: watch(change(3, events({ ...one(e4), createRevision: 4, version: 1 }))),
  reliable: watch(honest().toSpliced(2, 1).slice(0, -1)),
  'previous value': watch(change(3, events({ ...one(e4), previous: { ...one(e4).previous!, value: 'another' } }))), // cast: it has one
}
for (const guarantee of watchGuarantees) {
  test(`a watch that breaks "${guarantee}" is found`, () => {
    const found = checkWatch(theLog(), controls[guarantee]).map((violation) => violation.guarantee)
    assert.ok(found.includes(guarantee), `found ${JSON.stringify(found)}`)
  })
}

test('a silent watch, a cut revision, an invented event and a lost previous value are found', () => {
  const kinds = (record: WatchRecord): readonly string[] => [...new Set(checkWatch(theLog(), record).map((violation) => violation.guarantee))]
  assert.deepEqual(kinds(watch([])), ['reliable'])
  assert.ok(kinds(watch(change(4, events(one(e5, 0))))).includes('atomic'))
  assert.ok(kinds(watch(change(2, events(put('b', 3, 'never'))))).includes('reliable'))
  assert.deepEqual(kinds(watch(change(3, events({ ...one(e4), previous: undefined })))), ['previous value'])
  assert.deepEqual(kinds(watch(honest().slice(3), { startRevision: 5 })), ['resumable'])
})

test('the log refuses what does not follow from what was before', () => {
  const log = theLog()
  assert.equal(log.append(9, [put('a', 9, 'x')]).length, 1, 'a gap')
  assert.equal(theLog().append(8, []).length, 1, 'a revision without a change')
  assert.equal(theLog().append(8, [remove('a', 8)]).length, 1, 'a deletion of nothing')
  assert.equal(theLog().append(8, [put('z', 8, 'z8')]).length, 1, 'a version that starts again')
  assert.deepEqual(theLog().statesIn('a', 'd', 4).map((kv) => kv.value), ['a4', 'b3'])
})
