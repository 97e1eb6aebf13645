import { idText, type Request } from '../jsonrpc/message.ts';
import type { Emit, Origin } from '../pipeline/call.ts';
import { listChanged } from './list-changes.ts';

/** Identifies a receiver of change notifications; sessions and stateless requests are separate. */
export interface ChangeListener {
  readonly client: string;
  readonly profile: string;
  readonly stateless: boolean;
}

/** A `subscriptions/listen` stream that expects such notifications. */
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
  /** Streams opened by the current identity. */
  trusted: Set<Stream>;
  /** The number of the current period without a gap. */
  watch: number;
}

const keyOf = ({ client, profile, stateless }: ChangeListener): string =>
  JSON.stringify([client, profile, stateless]);

/**
 * The open streams on which a server announces changed tools: standalone streams of sessions, and
 * subscriptions that asked for it.
 */
export class ChangeStreams {
  /** Entries are removed when empty. */
  readonly #byListener = new Map<string, ListenerStreams>();
  #lastWatch = 0;

  /** @returns what to call when the stream has ended. */
  add(listener: ChangeListener, subscription?: ChangeSubscription): () => void {
    const key = keyOf(listener);
    const streamsOf = this.#byListener.get(key) ?? {
      profile: listener.profile,
      streams: new Set(),
      trusted: new Set(),
      watch: ++this.#lastWatch,
    };
    this.#byListener.set(key, streamsOf);
    const { streams, trusted } = streamsOf;
    const stream = { subscription };
    streams.add(stream);
    trusted.add(stream);
    return () => {
      streams.delete(stream);
      trusted.delete(stream);
      if (trusted.size === 0 && streamsOf.trusted === trusted) this.#beginWatch(streamsOf);
      if (streams.size === 0 && this.#byListener.get(key) === streamsOf) this.#byListener.delete(key);
    };
  }

  #beginWatch(streamsOf: ListenerStreams): void {
    streamsOf.trusted = new Set();
    streamsOf.watch = ++this.#lastWatch;
  }

  /**
   * Returns the number of the period in which a stream has been open without a gap; undefined where
   * none is open. While the number is the same, no change was missed.
   */
  watchOf(listener: ChangeListener): number | undefined {
    const streamsOf = this.#byListener.get(keyOf(listener));
    return streamsOf && streamsOf.trusted.size > 0 ? streamsOf.watch : undefined;
  }

  /** The identity of the profile has changed: notifications on its old streams no longer count. */
  invalidate(profile: string): void {
    for (const streamsOf of this.#byListener.values())
      if (streamsOf.profile === profile) this.#beginWatch(streamsOf);
  }

  /** Emits list_changed on every subscription, with its id. */
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
