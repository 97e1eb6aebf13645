/** The principal that opened a session: requests of another one are not sent on it. */
export class SessionOwner {
  #owner: { readonly principal: string | undefined } | undefined;
  #isForeign = false;

  /** True where another principal signed the last request. */
  get isForeign(): boolean {
    return this.#isForeign;
  }

  record(principal: string | undefined): void {
    this.#owner = { principal };
  }

  /** Decides on each request; any principal may open the session. */
  readonly admits = (principal: string | undefined): boolean => {
    this.#isForeign = this.#owner !== undefined && this.#owner.principal !== principal;
    return !this.#isForeign;
  };
}
