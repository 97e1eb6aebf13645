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
  readonly #groups = new Map<string, CapacityGroup>();

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
  shortage({ group: name, member }: Share, { wanted = 1, soleGroup = false } = {}): Shortage | undefined {
    const before = wanted - 1;
    const free = this.#max - this.#taken - before;
    if (free <= 0) return 'everyone';
    const group = this.#groups.get(name);
    const most = TIMES_FREE * free - before;
    if (!soleGroup && (group?.taken ?? 0) >= most) return 'group';
    return (group?.members.get(member)?.taken ?? 0) >= most ? 'member' : undefined;
  }

  /** Takes one place. @returns gives it back. */
  take({ group: name, member: memberName }: Share): () => void {
    const group = this.#groups.get(name) ?? { taken: 0, members: new Map() };
    const member = group.members.get(memberName) ?? { taken: 0 };
    if (group.taken++ === 0) this.#groups.set(name, group);
    if (member.taken++ === 0) group.members.set(memberName, member);
    this.#taken++;
    return () => {
      if (--member.taken === 0) group.members.delete(memberName);
      if (--group.taken === 0) this.#groups.delete(name);
      this.#taken--;
    };
  }
}

/** The places of a member of a group. */
interface Places {
  taken: number;
}

/** The places of a group, which exists while it has any. */
interface CapacityGroup extends Places {
  readonly members: Map<string, Places>;
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
