import { paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { Reply } from '../../core/pipeline/call.ts';
import { resultText } from '../../core/pipeline/result.ts';
import { pageKey, type SnapshotStore } from '../../core/tools/snapshot.ts';

type Pages = Readonly<Record<string, string>>;

/** The protocol version that `initialize` requests; snapshots are kept per version. */
export function revisionOf(initialize: Request): string {
  const { protocolVersion } = paramsOf(initialize);
  return typeof protocolVersion === 'string' ? protocolVersion : '';
}

/** Records the server's answers for the next run's snapshot. */
export class SnapshotRecorder {
  readonly #store: SnapshotStore;
  readonly #revision: string;
  readonly #opening: string;
  #pages: Pages = {};

  /** @param opening - the text of the result of `initialize`. */
  constructor(store: SnapshotStore, initialize: Request, opening: string) {
    this.#store = store;
    this.#revision = revisionOf(initialize);
    this.#opening = opening;
  }

  get hasPages(): boolean {
    return Object.keys(this.#pages).length > 0;
  }

  /** Records a tools/list answer. */
  recordPage(request: Request, reply: Reply): void {
    const text = resultText(reply);
    if (text === undefined) return;
    const { cursor } = paramsOf(request);
    const key = pageKey(cursor);
    // A cached answer is already recorded: repeated listings must not write a file each time.
    if (this.#pages[key] === text) return;
    this.setPages({ ...(cursor === undefined ? {} : this.#pages), [key]: text });
  }

  /** Replaces all pages. */
  setPages(pages: Pages): void {
    this.#pages = pages;
    void this.save();
  }

  save(): Promise<void> {
    return this.#store.save(this.#revision, { opening: this.#opening, pages: this.#pages });
  }
}
