/**
 * What a server said the last time, kept so that the next start can answer before it is connected.
 * Texts, as they were sent.
 */
export interface Snapshot {
  /** The result of `initialize`. */
  readonly opening: string;
  /** The results of `tools/list`, by `pageKey` of the request's cursor. */
  readonly pages: Readonly<Record<string, string>>;
}

/**
 * Keeps one snapshot for each revision that clients ask for. Neither method throws: what cannot be
 * had or kept is as if it never was.
 */
export interface SnapshotStore {
  load(revision: string): Promise<Snapshot | undefined>;
  save(revision: string, snapshot: Snapshot): Promise<void>;
}

/** An absent cursor is not an empty one. */
export const pageKey = (cursor: unknown): string => JSON.stringify(cursor ?? null);
