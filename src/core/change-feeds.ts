import type { Emit, Origin } from './call.ts';
import { listChanged } from './list-changes.ts';
import { idText, type Request } from './message.ts';

/** Whose word of changes: a session's stream says nothing to requests without one, nor the other way round. */
export interface Listener {
  readonly client: string;
  readonly profile: string;
  readonly stateless: boolean;
}

/** A listen stream, on which the client expects such word. */
export interface Subscription {
  readonly request: Request;
  readonly emit: Emit;
}

interface Stream {
  readonly subscription: Subscription | undefined;
}

const keyOf = ({ client, profile, stateless }: Listener): string =>
  JSON.stringify([client, profile, stateless]);

/**
 * The streams that are open now on which a server tells of changed tools: the standalone streams of sessions, and the listen streams
 * that asked for it.
 */
export class ChangeFeeds {
  /** None of them is empty. */
  readonly #streams = new Map<string, Set<Stream>>();

  /** @returns what to call when the stream has ended. */
  opened(listener: Listener, subscription?: Subscription): () => void {
    const key = keyOf(listener);
    const streams = this.#streams.get(key) ?? new Set();
    this.#streams.set(key, streams);
    const stream = { subscription };
    streams.add(stream);
    return () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(key) === streams) this.#streams.delete(key);
    };
  }

  /**
   * Stands for the time in which a stream has been open without a gap; undefined where none is. Where it is the same object as it was
   * earlier, no change has been missed since.
   */
  unbroken(listener: Listener): object | undefined {
    return this.#streams.get(keyOf(listener));
  }

  /** Says on every listen stream that the tools have changed, each in the name of its subscription. */
  tell(listener: Listener, origin: Origin): void {
    for (const { subscription } of this.#streams.get(keyOf(listener)) ?? []) {
      if (!subscription) continue;
      const { request, emit } = subscription;
      const change = listChanged(
        'tools',
        `"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":${idText(request)}}},`,
      );
      void emit(change, origin).catch(() => undefined);
    }
  }
}
