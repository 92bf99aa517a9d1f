// The pod's holder process: the first process of a shared process namespace. It must do nothing, forever, and leave no zombies; that takes two
// system calls, so it is a program of a few dozen bytes made here instead of an image that had to be pulled.
//
// It asks the kernel to reap its children by itself (SIGCHLD ignored), then waits for signals. As process 1 of its namespace it is immune to
// all of them but the SIGKILL that comes from outside.

const loadAddress = 0x400000
const headerBytes = 64 + 56

/** rt_sigaction(SIGCHLD, {SIG_IGN}, 0, 8); for (;;) pause() */
const amd64 = [
  0x31, 0xc0, //                   xor eax, eax
  0x50, 0x50, 0x50, //             push rax ×3: mask, restorer, flags
  0x6a, 0x01, //                   push 1: SIG_IGN
  0xb8, 0x0d, 0x00, 0x00, 0x00, // mov eax, 13: rt_sigaction
  0xbf, 0x11, 0x00, 0x00, 0x00, // mov edi, 17: SIGCHLD
  0x48, 0x89, 0xe6, //             mov rsi, rsp
  0x31, 0xd2, //                   xor edx, edx
  0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
  0x0f, 0x05, //                   syscall
  0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, 34: pause
  0x0f, 0x05, //                   syscall
  0xeb, 0xf7, //                   jmp back to the mov
]

/** The same with ppoll(0, 0, 0, 0, 0) for pause. */
const arm64 = [
  0xd10083ff, // sub sp, sp, #32
  0xd2800029, // mov x9, #1: SIG_IGN
  0xf90003e9, // str x9, [sp]
  0xf90007ff, // str xzr, [sp, #8]
  0xf9000bff, // str xzr, [sp, #16]
  0xf9000fff, // str xzr, [sp, #24]
  0xd2800220, // mov x0, #17: SIGCHLD
  0x910003e1, // mov x1, sp
  0xd2800002, // mov x2, #0
  0xd2800103, // mov x3, #8
  0xd28010c8, // mov x8, #134: rt_sigaction
  0xd4000001, // svc #0
  0xd2800000, // mov x0, #0
  0xd2800001, // mov x1, #0
  0xd2800002, // mov x2, #0
  0xd2800003, // mov x3, #0
  0xd2800004, // mov x4, #0
  0xd2800928, // mov x8, #73: ppoll
  0xd4000001, // svc #0
  0x17fffff9, // b back to the first mov of ppoll
].flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24])

/** A static ELF executable for this kind of processor, or undefined when there is none. @param architecture as Node names it */
export function pauseProgram(architecture: string): Buffer | undefined {
  const code = architecture === 'x64' ? amd64 : architecture === 'arm64' ? arm64 : undefined
  if (!code) return undefined
  const out = Buffer.alloc(headerBytes + code.length)
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // ELF, 64 bits, little-endian
  out.writeUInt16LE(2, 16) // executable
  out.writeUInt16LE(architecture === 'x64' ? 62 : 183, 18)
  out.writeUInt32LE(1, 20)
  out.writeBigUInt64LE(BigInt(loadAddress + headerBytes), 24) // entry point
  out.writeBigUInt64LE(64n, 32) // program headers follow
  out.writeUInt16LE(64, 52)
  out.writeUInt16LE(56, 54)
  out.writeUInt16LE(1, 56)
  out.writeUInt32LE(1, 64) // one segment to load: read and execute
  out.writeUInt32LE(5, 68)
  out.writeBigUInt64LE(BigInt(loadAddress), 80)
  out.writeBigUInt64LE(BigInt(loadAddress), 88)
  out.writeBigUInt64LE(BigInt(out.length), 96)
  out.writeBigUInt64LE(BigInt(out.length), 104)
  out.writeBigUInt64LE(0x1000n, 112)
  out.set(code, headerBytes)
  return out
}
