// Long work is done in pieces with this between them.

/** Lets everything else that is ready run first. */
export function yieldToLoop(): Promise<void> { return new Promise((resolve) => { setImmediate(resolve) }) }
