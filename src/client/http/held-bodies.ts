/**
 * For the bodies that are being read or carried, of all clients together: as much as one client on
 * stdio may have under way, and one of the longest that --max-body can allow.
 */
const MAX_HELD_BYTES = 256 * 1024 * 1024;
/**
 * The beginnings of bodies, which count apart: an ordinary request is no longer, so that it finds
 * room whatever others have sent. Their number is bounded by --max-clients, and all of them
 * together by the second figure.
 */
const MAX_EXEMPT_BYTES = 64 * 1024;
const MAX_TOTAL_EXEMPT_BYTES = 64 * 1024 * 1024;

/**
 * Whose body it is: bodies that never end are dropped by the caller that holds most, and in it by
 * the session that does.
 */
export interface BodyOwner {
  /** A token or an address. */
  readonly caller: string;
  readonly session: string;
}

/** One body, as far as memory goes. */
export interface HeldBody {
  /** False where there is no room for it: then it is not to be read on. */
  reserve(bytes: number): boolean;
  /** To be called when it is complete: from now on it is carried, and not dropped for others. */
  complete(): void;
  release(): void;
}

class Body implements HeldBody {
  readonly owner: BodyOwner;
  readonly drop: () => void;
  readonly #bodies: HeldBodies;
  /** Beyond its beginning. */
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

/** The memory that the bodies of all clients take. */
export class HeldBodies {
  /** Bytes of each body that need no room of the others. */
  readonly exemptBytes: number;
  /** The oldest first. */
  readonly #incomplete = new Set<Body>();
  #bytes = 0;

  constructor(maxClients: number) {
    this.exemptBytes = Math.min(MAX_EXEMPT_BYTES, Math.floor(MAX_TOTAL_EXEMPT_BYTES / maxClients));
  }

  /** @param drop - called where the body has to make room for another one. */
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
      dropped.drop();
    }
    this.#bytes += bytes;
    body.bytes += bytes;
    return true;
  }

  /** @internal */
  completed(body: Body): void {
    this.#incomplete.delete(body);
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

/** The bodies of the key whose bodies have most bytes together. */
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
