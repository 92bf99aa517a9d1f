// A patch that can't be carried out. The reason says which answer the API server gives: BadRequest 400, Invalid 422, RequestEntityTooLarge 413.

export type PatchErrorReason = 'BadRequest' | 'Invalid' | 'RequestEntityTooLarge' | 'Conflict'

export class PatchError extends Error {
  override readonly name = 'PatchError'
  readonly reason: PatchErrorReason
  constructor(reason: PatchErrorReason, message: string) {
    super(message)
    this.reason = reason
  }
}
