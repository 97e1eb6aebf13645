/**
 * A server's last answers, kept so that the next start can answer before it is connected. Texts as
 * received.
 */
export interface Snapshot {
  /** The result of `initialize`. */
  readonly opening: string;
  /** The results of `tools/list`, by `pageKey` of the request's cursor. */
  readonly pages: Readonly<Record<string, string>>;
}

/**
 * Keeps one snapshot per requested revision. Neither method throws: a failed load is undefined, a
 * failed save is ignored.
 */
export interface SnapshotStore {
  load(revision: string): Promise<Snapshot | undefined>;
  save(revision: string, snapshot: Snapshot): Promise<void>;
}

/** An absent cursor is not an empty one. */
export const pageKey = (cursor: unknown): string => JSON.stringify(cursor ?? null);
