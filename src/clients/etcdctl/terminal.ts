// Asking people: a password without showing it, lines of standard input one by one.
import { StringDecoder } from 'node:string_decoder'

/** Asks for a password: on a terminal nothing of it is shown, else it is the next line of the input. Undefined: interrupted. */
export async function askPassword(stdin: NodeJS.ReadStream, lines: AsyncGenerator<Buffer>, out: (text: string) => void, prompt: string): Promise<string | undefined> {
  out(prompt)
  if (!stdin.isTTY) {
    const line = await nextLine(lines)
    out('\n')
    return line?.toString('utf8') ?? ''
  }
  stdin.setRawMode(true)
  let password = ''
  const decoder = new StringDecoder('utf8')
  try {
    for await (const chunk of stdin.iterator({ destroyOnReturn: false })) {
      for (const char of decoder.write(chunk as Buffer)) { // cast: standard input gives bytes
        if (char === '\r' || char === '\n') return password
        if (char === '\u0003') return undefined
        if (char === '\u007f' || char === '\b') password = password.slice(0, -1)
        else password += char
      }
    }
    return password
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    out('\n')
  }
}

/** All of standard input. */
export async function readAll(stdin: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stdin) chunks.push(chunk as Buffer) // cast: standard input gives bytes
  return Buffer.concat(chunks)
}

/** Lines that end with a newline, without it; what follows the last newline is not a line. */
export async function* readLines(stdin: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of stdin) {
    rest = Buffer.concat([rest, chunk as Buffer]) // cast: standard input gives bytes
    for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
      yield rest.subarray(0, at)
      rest = rest.subarray(at + 1)
    }
  }
}

/** The next line, or undefined at the end of the input. */
export async function nextLine(lines: AsyncGenerator<Buffer>): Promise<Buffer | undefined> {
  const step = await lines.next()
  return step.done ? undefined : step.value
}
