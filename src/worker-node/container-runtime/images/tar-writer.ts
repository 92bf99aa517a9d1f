// Writes plain ustar archives in memory: enough for the images that are put together on the machine. The same entries give the same bytes.

export type TarInput =
  | { readonly type: 'file'; readonly name: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly type: 'directory'; readonly name: string; readonly mode: number }
  | { readonly type: 'symlink'; readonly name: string; readonly linkName: string }
  | { readonly type: 'link'; readonly name: string; readonly linkName: string }

const flags: { readonly [T in TarInput['type']]: string } = { file: '0', link: '1', symlink: '2', directory: '5' }

function header(entry: TarInput): Buffer {
  const out = Buffer.alloc(512)
  const put = (text: string, at: number, length: number): void => {
    if (Buffer.byteLength(text) > length) throw new RangeError(`${JSON.stringify(text)} is too long for a tar header`)
    out.write(text, at)
  }
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
  put(entry.type === 'directory' ? `${entry.name}/` : entry.name, 0, 100)
  put(octal('mode' in entry ? entry.mode : 0o777, 7), 100, 8)
  put(octal(0, 7), 108, 8)
  put(octal(0, 7), 116, 8)
  put(octal(entry.type === 'file' ? entry.content.length : 0, 11), 124, 12)
  put(octal(0, 11), 136, 12)
  put('        ', 148, 8)
  put(flags[entry.type], 156, 1)
  if ('linkName' in entry) put(entry.linkName, 157, 100)
  put('ustar\u000000', 257, 8)
  put(`${octal(out.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148, 8)
  return out
}

export function writeTar(entries: readonly TarInput[]): Buffer {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    parts.push(header(entry))
    if (entry.type === 'file') parts.push(entry.content, Buffer.alloc((512 - (entry.content.length % 512)) % 512))
  }
  parts.push(Buffer.alloc(1024))
  return Buffer.concat(parts)
}
