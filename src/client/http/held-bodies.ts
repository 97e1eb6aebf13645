import { heapShare } from '../../core/system/heap-share.ts';

/**
 * Limit for all request bodies in memory: what one stdio client may have in flight, and one body of
 * the largest --max-body.
 */
const MAX_HELD_BYTES = heapShare(256 * 1024 * 1024);
/**
 * Each body's first bytes are exempt from that limit, so that ordinary requests always fit.
 * --max-clients bounds their number, the second constant their total.
 */
const MAX_EXEMPT_BYTES = 64 * 1024;
const MAX_TOTAL_EXEMPT_BYTES = 64 * 1024 * 1024;

/**
 * The owner of a body. Under pressure, incomplete bodies of the caller that holds most are dropped,
 * within it those of the session that holds most.
 */
export interface BodyOwner {
  /** A token or an address. */
  readonly caller: string;
  readonly session: string;
}

/** The memory reservation of one body. */
export interface HeldBody {
  /** Reserves bytes. @returns false where there is no room, and reading must stop. */
  reserve(bytes: number): boolean;
  /** Call this when the body is complete: it is then no longer dropped for others. */
  complete(): void;
  release(): void;
}

class Body implements HeldBody {
  readonly owner: BodyOwner;
  /** Undefined once it cannot be dropped any more: the call outlives the reader of its body. */
  drop: (() => void) | undefined;
  readonly #bodies: HeldBodies;
  /** Reserved bytes beyond the exempt ones. */
  bytes = 0;
  #length = 0;

  constructor(bodies: HeldBodies, owner: BodyOwner, drop: () => void) {
    this.#bodies = bodies;
    this.owner = owner;
    this.drop = drop;
  }

  reserve(bytes: number): boolean {
    this.#length += bytes;
    const beyond = Math.max(0, this.#length - this.#bodies.exemptBytes) - this.bytes;
    return this.#bodies.grow(this, Math.max(0, beyond));
  }

  complete(): void {
    this.#bodies.completed(this);
  }

  release(): void {
    this.#bodies.release(this);
  }
}

/** Bounds the memory of all request bodies. */
export class HeldBodies {
  /** Bytes of each body that are not counted. */
  readonly exemptBytes: number;
  /** The oldest first. */
  readonly #incomplete = new Set<Body>();
  #bytes = 0;

  constructor(maxClients: number) {
    this.exemptBytes = Math.min(MAX_EXEMPT_BYTES, Math.floor(MAX_TOTAL_EXEMPT_BYTES / maxClients));
  }

  /** @param drop - called when the body has to make room for another one. */
  open(owner: BodyOwner, drop: () => void): HeldBody {
    const body = new Body(this, owner, drop);
    this.#incomplete.add(body);
    return body;
  }

  /** @internal */
  grow(body: Body, bytes: number): boolean {
    while (this.#bytes + bytes > MAX_HELD_BYTES) {
      const dropped = this.#nextToDrop();
      if (!dropped || dropped === body || dropped.bytes === 0) return false;
      this.release(dropped);
      dropped.drop?.();
    }
    this.#bytes += bytes;
    body.bytes += bytes;
    return true;
  }

  /** @internal */
  completed(body: Body): void {
    this.#incomplete.delete(body);
    body.drop = undefined;
  }

  /** @internal */
  release(body: Body): void {
    this.#incomplete.delete(body);
    this.#bytes -= body.bytes;
    body.bytes = 0;
  }

  /** The oldest incomplete body of the session that holds most, of the caller that holds most. */
  #nextToDrop(): Body | undefined {
    const callers = largestGroup(this.#incomplete, ({ owner }) => owner.caller);
    const [oldest] = largestGroup(callers, ({ owner }) => owner.session).filter(({ bytes }) => bytes > 0);
    return oldest;
  }
}

/** Groups bodies by key and returns the group with the most bytes. */
function largestGroup(bodies: Iterable<Body>, keyOf: (body: Body) => string): Body[] {
  const groups = new Map<string, { bytes: number; bodies: Body[] }>();
  let largest: { bytes: number; bodies: Body[] } = { bytes: -1, bodies: [] };
  for (const body of bodies) {
    const key = keyOf(body);
    const group = groups.get(key) ?? { bytes: 0, bodies: [] };
    groups.set(key, group);
    group.bodies.push(body);
    group.bytes += body.bytes;
    if (group.bytes > largest.bytes) largest = group;
  }
  return largest.bodies;
}
