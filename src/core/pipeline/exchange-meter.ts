/**
 * Counts the HTTP requests of one profile. An event of each would cost every call several objects.
 */
export interface ExchangeMeter {
  /** A request is about to be sent. @param bytes - of its body. */
  sent(method: string, lane: string, bytes: number, isSigned: boolean): void;
  /**
   * Once for each `sent`: the body has arrived, or the request failed.
   * @param status - undefined where there was no response.
   * @param bytes - of the body, as received.
   */
  ended(status: number | undefined, bytes: number, isFailure: boolean): void;
}
