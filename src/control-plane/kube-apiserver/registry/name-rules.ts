// What names of a kind must look like. With `prefix` the name is a generateName, to which characters are going to be added: a dash at its end is right then.
// Upstream: apimachinery/pkg/api/validation/generic.go
import { isDns1035Label, isDns1123Label, isDns1123Subdomain, isPathSegmentName, isPathSegmentPrefix } from '../../../lib/apimachinery/validation.ts'

export type NameRule = (name: string, prefix: boolean) => readonly string[]

const maskTrailingDash = (name: string, prefix: boolean): string => prefix && name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name

export const nameIsDnsSubdomain: NameRule = (name, prefix) => isDns1123Subdomain(maskTrailingDash(name, prefix))
export const nameIsDnsLabel: NameRule = (name, prefix) => isDns1123Label(maskTrailingDash(name, prefix))
export const nameIsDns1035Label: NameRule = (name, prefix) => isDns1035Label(maskTrailingDash(name, prefix))
export const nameIsPathSegment: NameRule = (name, prefix) => prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name)
/** Kinds whose names nobody checks (events of the first version). */
export const nameIsAnything: NameRule = () => []
