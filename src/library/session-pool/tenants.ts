import { SessionPoolError } from './errors.ts';

/** Counts the borrowed sessions of tenants. An entry exists only while its tenant has one. */
export class Tenants {
  readonly #max: number;
  readonly #active = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  get active(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#active);
  }

  /** @throws SessionPoolError tenant-limit */
  acquire(tenant: string): void {
    const active = this.#active.get(tenant) ?? 0;
    if (active >= this.#max)
      throw new SessionPoolError(
        'tenant-limit',
        'tenantLimit.maxConcurrent',
        `Tenant ${JSON.stringify(tenant)} has borrowed ${active} sessions, and tenantLimit.maxConcurrent is ${this.#max}.`,
        { retryAfterMs: 1_000 },
      );
    this.#active.set(tenant, active + 1);
  }

  release(tenant: string): void {
    const active = (this.#active.get(tenant) ?? 0) - 1;
    if (active > 0) this.#active.set(tenant, active);
    else this.#active.delete(tenant);
  }
}
