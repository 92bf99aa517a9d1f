// Events have two faces: core/v1 (as stored) and events.k8s.io/v1. The same thing under other field names. Pure.
// Upstream: pkg/apis/events/v1/conversion.go
import type { Event as CoreEvent } from '../../../lib/api/generated/types/core-v1.ts'
import type { Event } from '../../../lib/api/generated/types/events-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { VersionConversion } from './served-resource.ts'

const asStored = (object: ApiObject): CoreEvent => object as unknown as CoreEvent // cast: stored events are core/v1
const asServed = (object: ApiObject): Event => object as unknown as Event // cast: what this endpoint takes is events.k8s.io/v1

export const eventConversion: VersionConversion = {
  toStorage(object) {
    const { note, regarding, deprecatedSource, deprecatedFirstTimestamp, deprecatedLastTimestamp, deprecatedCount, reportingController, kind: _k, apiVersion: _v, ...rest } = asServed(object)
    const core = {
      kind: 'Event', apiVersion: 'v1', ...rest, involvedObject: regarding ?? {}, source: deprecatedSource ?? {}, firstTimestamp: deprecatedFirstTimestamp ?? null, lastTimestamp: deprecatedLastTimestamp ?? null,
      ...(note !== undefined && { message: note }), ...(deprecatedCount !== undefined && { count: deprecatedCount }), reportingComponent: reportingController ?? '',
      reportingInstance: rest.reportingInstance ?? '',
    }
    return core as unknown as ApiObject // cast: an Event of core/v1
  },
  fromStorage(object) {
    const { message, involvedObject, source, firstTimestamp, lastTimestamp, count, reportingComponent, kind: _k, apiVersion: _v, ...rest } = asStored(object)
    const served = {
      kind: 'Event', apiVersion: 'events.k8s.io/v1', ...rest, regarding: involvedObject, deprecatedSource: source, deprecatedFirstTimestamp: firstTimestamp, deprecatedLastTimestamp: lastTimestamp,
      ...(message !== undefined && { note: message }), ...(count !== undefined && { deprecatedCount: count }), ...(reportingComponent !== undefined && reportingComponent !== '' && { reportingController: reportingComponent }),
    }
    return served as unknown as ApiObject // cast: an Event of events.k8s.io/v1
  },
}
