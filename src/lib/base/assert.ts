// Impossible states end here: an assert states an invariant, and failing it is a bug in k8ts, never the user's fault.

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/** Throws when `condition` is false. The message says what must hold. */
export function assert(condition: unknown, mustHold: string): asserts condition {
  if (!condition) throw new AssertionFailure(`invariant broken: ${mustHold}`)
}

/** For the default branch of an exhaustive switch: the compiler complains when a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unexpected value: ${JSON.stringify(value)}`)
}
