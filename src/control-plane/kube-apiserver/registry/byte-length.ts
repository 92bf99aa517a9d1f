// Lengths in bytes of UTF-8, which is what the API's limits count, without making the bytes.
export function byteLength(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    if (code < 0x800) bytes += 1
    else {
      // A pair of surrogates is two units here and four bytes there.
      bytes += 2
      if (code >= 0xd800 && code <= 0xdbff) i++
    }
  }
  return bytes
}
