// HPACK's Huffman code. It is canonical: the lengths alone give the codes, in order of length and then of byte. Upstream: RFC 7541, appendix B
//
// Decoding walks a tree laid out in one typed array: node n has its two children at 2n and 2n+1; a child >= 0 is a node, below 0 the byte ~child.

const codeLengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
] as const

/** No child: only the end-of-string code lies there, which must not be decoded. */
const nowhere = 0x7fff
const tree = makeTree()

function makeTree(): Int16Array {
  const nodes = new Int16Array(1024).fill(nowhere)
  let used = 1
  let code = 0
  let previous = 5
  const order = codeLengths.map((length, byte) => ({ length, byte })).sort((a, b) => a.length - b.length || a.byte - b.byte)
  for (const { length, byte } of order) {
    code *= 2 ** (length - previous)
    previous = length
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const at = node * 2 + ((code >>> bit) & 1)
      if (nodes[at] === nowhere) nodes[at] = used++
      node = nodes[at]! // cast: set above
    }
    nodes[node * 2 + (code & 1)] = ~byte
    code++
  }
  return nodes
}

/** The text of Huffman-coded bytes, one character per byte; undefined when the code or its padding is invalid. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  let out = ''
  let node = 0
  let pendingBits = 0
  let onlyOnes = true
  for (let i = start; i < end; i++) {
    const byte = bytes[i]! // cast: in range
    for (let mask = 0x80; mask > 0; mask >>= 1) {
      const one = (byte & mask) !== 0
      const child = tree[node * 2 + (one ? 1 : 0)]! // cast: nodes are in range
      if (child === nowhere) return undefined
      if (child < 0) {
        out += String.fromCharCode(~child)
        node = 0
        pendingBits = 0
        onlyOnes = true
      } else {
        node = child
        pendingBits++
        onlyOnes &&= one
      }
    }
  }
  // The padding is the beginning of the end-of-string code (ones), shorter than a byte.
  return pendingBits > 7 || !onlyOnes ? undefined : out
}
