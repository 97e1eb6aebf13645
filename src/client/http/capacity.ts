import type { Share } from '../../core/pipeline/fair-queue.ts';

/**
 * One caller may take three times what is left free. Alone it gets three quarters, two get three
 * sevenths each, and something is left for another one, however many requests they send.
 */
const TIMES_FREE = 3;

/** Why there is no room: for anyone, for the token or address, or for the session. */
export type Shortage = 'everyone' | 'group' | 'member';

/**
 * A number of places that callers share: no caller can take them all (the dynamic threshold of
 * switches with shared memory).
 */
export class Capacity {
  readonly #max: number;
  #taken = 0;
  /** Places by group, and by member of a group. */
  readonly #groups = new Map<string, number>();
  readonly #members = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Places in use. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Returns why another place cannot be taken; undefined where it can.
   * @param options.soleGroup - true where no other group can exist: it may take all places.
   */
  shortage({ group, member }: Share, { wanted = 1, soleGroup = false } = {}): Shortage | undefined {
    const before = wanted - 1;
    const free = this.#max - this.#taken - before;
    if (free <= 0) return 'everyone';
    const most = TIMES_FREE * free - before;
    if (!soleGroup && (this.#groups.get(group) ?? 0) >= most) return 'group';
    return (this.#members.get(memberKey(group, member)) ?? 0) >= most ? 'member' : undefined;
  }

  /** Takes one place. @returns gives it back. */
  take({ group, member }: Share): () => void {
    const key = memberKey(group, member);
    add(this.#groups, group, 1);
    add(this.#members, key, 1);
    this.#taken++;
    return () => {
      add(this.#groups, group, -1);
      add(this.#members, key, -1);
      this.#taken--;
    };
  }
}

/** The reason of a refusal, as a sentence. Pure. */
export function shortageText(
  shortage: Shortage,
  { max, things, option }: { readonly max: number; readonly things: string; readonly option: string },
): string {
  switch (shortage) {
    case 'everyone':
      return `${max} ${things}, as many as the proxy takes (${option}).`;
    case 'group':
      return `So many of the ${max} ${things} of ${option} belong to your token that the rest is kept for other tokens.`;
    case 'member':
      return `So many of the ${max} ${things} of ${option} belong to your session, or to requests without a session, that the rest is kept for other sessions.`;
  }
}

/** Unambiguous: no group contains a line feed. */
const memberKey = (group: string, member: string): string => `${group}\n${member}`;

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
