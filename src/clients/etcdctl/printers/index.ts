// The printers by the name that `-w` gives them.
import type { Printer } from './printable.ts'
import { printFields } from './fields-printer.ts'
import { printJson, printProtobuf } from './message-printers.ts'
import { printSimple } from './simple-printer.ts'
import { printTable } from './tables.ts'

export const outputFormats = ['fields', 'json', 'protobuf', 'simple', 'table'] as const
export type OutputFormat = (typeof outputFormats)[number]

export const printers: { readonly [F in OutputFormat]: Printer } = { fields: printFields, json: printJson, protobuf: printProtobuf, simple: printSimple, table: printTable }

export function isOutputFormat(text: string): text is OutputFormat { return Object.hasOwn(printers, text) }
