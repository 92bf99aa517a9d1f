// Standard base64 with padding, as []byte fields have it in JSON.

const alphabet = /^[A-Za-z0-9+/]*={0,2}$/

/** The text without line breaks when it is base64; else where it goes wrong, counted in bytes. */
export function checkBase64(text: string): { readonly ok: true; readonly text: string } | { readonly ok: false; readonly at: number } {
  const clean = text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]/g, '') : text
  if (clean.length % 4 === 0 && alphabet.test(clean)) return { ok: true, text: clean }
  const bad = clean.search(/[^A-Za-z0-9+/]/)
  return { ok: false, at: bad < 0 ? clean.length - (clean.length % 4) : bad }
}

/** Bytes of a checked text. */
export function decodeBase64(text: string): Uint8Array {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

export function encodeBase64(bytes: Uint8Array): string {
  let binary = ''
  // In pieces: a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(binary)
}
