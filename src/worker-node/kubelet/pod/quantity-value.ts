// Quantities as the kubelet needs them: plain numbers of cores in thousandths or of bytes, and back.
// Upstream: apimachinery/pkg/api/resource (MilliValue, Value, both rounding up)
import { formatQuantity, milliOfText, milliQuantity, quantityOf, unitsOfText } from '../../../lib/apimachinery/quantity.ts'

/** Bytes or counts, rounded up; 0 for nothing. */
export const quantityValue = (text: string | undefined): number => unitsOfText(text)

/** Thousandths, rounded up; 0 for nothing. */
export const quantityMilli = (text: string | undefined): number => milliOfText(text)

/** Thousandths of a core in the shortest form: 2000 → `2`, 1500 → `1500m`. */
export const formatMilli = (milli: number): string => formatQuantity(milliQuantity(milli))

/** Bytes in the largest binary unit that leaves no fraction: 104857600 → `100Mi`. */
export const formatBinary = (bytes: number): string => formatQuantity(quantityOf(Math.floor(bytes), 'BinarySI'))
