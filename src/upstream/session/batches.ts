import { BATCH_REVISION, type Batch, type Call, type Reply } from '../../core/pipeline/call.ts';
import type { Session } from './session.ts';

interface Gathering {
  readonly session: Session;
  readonly members: { readonly call: Call; readonly settle: (reply: Promise<Reply>) => void }[];
}

/**
 * Gathers the members of a batch, all sent down in one turn, and posts them as the array that they
 * came in.
 */
export class Batches {
  readonly #gatherings = new Map<Batch, readonly Gathering[]>();

  /** Sends the call as a member of its batch; undefined where it goes by itself. */
  member(call: Call, session: Session): Promise<Reply> | undefined {
    const { batch } = call;
    if (!batch || session.version !== BATCH_REVISION) return undefined;
    return new Promise((resolve) => {
      const gatherings = this.#gatherings.get(batch) ?? [];
      const gathering = gatherings.find((one) => one.session === session);
      if (gathering) {
        gathering.members.push({ call, settle: resolve });
        return;
      }
      const started: Gathering = { session, members: [{ call, settle: resolve }] };
      // Members with different profiles go to different sessions.
      this.#gatherings.set(batch, [...gatherings, started]);
      setImmediate(() => {
        const others = (this.#gatherings.get(batch) ?? []).filter((one) => one !== started);
        if (others.length > 0) this.#gatherings.set(batch, others);
        else this.#gatherings.delete(batch);
        post(started);
      });
    });
  }
}

function post({ session, members: gathered }: Gathering): void {
  // What was cancelled in the same turn is not sent.
  const members = gathered.filter(({ call: { signal }, settle }) => {
    if (signal.aborted) settle(Promise.reject(signal.reason));
    return !signal.aborted;
  });
  if (members.length === 0) return;
  const calls = members.map(({ call }) => call);
  const text = `[${calls.map(({ message }) => message.text).join(',')}]`;
  if (calls.some(({ message }) => message.kind === 'request')) {
    const replies = session.request(calls, text);
    members.forEach(({ settle }, at) => {
      settle(replies[at] ?? Promise.reject(new TypeError('a batch member without a reply')));
    });
    return;
  }
  const accepted = session.notify(text, calls[0]?.signal ?? new AbortController().signal);
  for (const { settle } of members) settle(accepted);
}
