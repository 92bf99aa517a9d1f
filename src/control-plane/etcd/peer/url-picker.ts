// Which of a peer's URLs is used: the one that works, and after a failure the next. Upstream: rafthttp/urlpick.go

export class UrlPicker {
  #urls: readonly string[]
  #picked = 0

  constructor(urls: readonly string[]) { this.#urls = urls }

  get urls(): readonly string[] { return this.#urls }

  update(urls: readonly string[]): void {
    this.#urls = urls
    this.#picked = 0
  }

  pick(): string { return this.#urls[this.#picked] ?? '' }

  /** Goes on to the next one, unless somebody else has said so already. */
  unreachable(url: string): void {
    if (url === this.pick()) this.#picked = (this.#picked + 1) % Math.max(1, this.#urls.length)
  }
}
