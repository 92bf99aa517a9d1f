// The few globals of the web platform that pure modules may use: no clock, no timer, no network among them. Only tsconfig.pure.json reads this.
declare class TextEncoder { encode(text?: string): Uint8Array<ArrayBuffer>; encodeInto(text: string, target: Uint8Array): { read: number; written: number } }
declare class TextDecoder { constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }); decode(bytes?: Uint8Array, options?: { stream?: boolean }): string }
interface AbortSignal {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}
declare class URL { constructor(url: string, base?: string); readonly protocol: string; readonly host: string; readonly hostname: string; readonly port: string; pathname: string; search: string; readonly searchParams: URLSearchParams; readonly href: string; readonly username: string; readonly password: string; readonly hash: string; toString(): string }
declare class URLSearchParams { constructor(init?: string | Record<string, string>); get(name: string): string | null; getAll(name: string): string[]; has(name: string): boolean; set(name: string, value: string): void; append(name: string, value: string): void; toString(): string; [Symbol.iterator](): IterableIterator<[string, string]> }
declare function atob(text: string): string
declare function btoa(text: string): string
