import { idText, type Request } from '../jsonrpc/message.ts';
import type { Emit, Origin } from '../pipeline/call.ts';
import { listChanged } from './list-changes.ts';

/**
 * Whose word of changes: a session's stream says nothing to requests without one, nor the other way
 * round.
 */
export interface ChangeListener {
  readonly client: string;
  readonly profile: string;
  readonly stateless: boolean;
}

/** A listen stream, on which the client expects such word. */
export interface ChangeSubscription {
  readonly request: Request;
  readonly emit: Emit;
}

interface Stream {
  readonly subscription: ChangeSubscription | undefined;
}

interface ListenerStreams {
  readonly profile: string;
  readonly streams: Set<Stream>;
  /**
   * Those that the identity which asks now has opened. The set stands for the time in which one of
   * them was open without a gap.
   */
  trusted: Set<Stream>;
}

const keyOf = ({ client, profile, stateless }: ChangeListener): string =>
  JSON.stringify([client, profile, stateless]);

/**
 * The streams that are open now on which a server tells of changed tools: the standalone streams of
 * sessions, and the listen streams that asked for it.
 */
export class ChangeStreams {
  /** None of them is empty. */
  readonly #byListener = new Map<string, ListenerStreams>();

  /** @returns what to call when the stream has ended. */
  add(listener: ChangeListener, subscription?: ChangeSubscription): () => void {
    const key = keyOf(listener);
    const streamsOf = this.#byListener.get(key) ?? {
      profile: listener.profile,
      streams: new Set(),
      trusted: new Set(),
    };
    this.#byListener.set(key, streamsOf);
    const { streams, trusted } = streamsOf;
    const stream = { subscription };
    streams.add(stream);
    trusted.add(stream);
    return () => {
      streams.delete(stream);
      trusted.delete(stream);
      if (trusted.size === 0 && streamsOf.trusted === trusted) streamsOf.trusted = new Set();
      if (streams.size === 0 && this.#byListener.get(key) === streamsOf) this.#byListener.delete(key);
    };
  }

  /**
   * Stands for the time in which a stream has been open without a gap; undefined where none is.
   * Where it is the same object as it was earlier, no change has been missed since.
   */
  continuityToken(listener: ChangeListener): object | undefined {
    const trusted = this.#byListener.get(keyOf(listener))?.trusted;
    return trusted && trusted.size > 0 ? trusted : undefined;
  }

  /**
   * Another identity asks from now on: what a stream tells the one that opened it says nothing of
   * what the next is shown.
   */
  invalidate(profile: string): void {
    for (const streamsOf of this.#byListener.values())
      if (streamsOf.profile === profile) streamsOf.trusted = new Set();
  }

  /**
   * Says on every listen stream that the tools have changed, each in the name of its subscription.
   */
  emitChange(listener: ChangeListener, origin: Origin): void {
    for (const { subscription } of this.#byListener.get(keyOf(listener))?.streams ?? []) {
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
