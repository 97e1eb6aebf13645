import { BATCH_REVISION, type Batch, type Call, type Reply } from '../../core/pipeline/call.ts';
import type { Session } from './session.ts';

interface OpenBatch {
  readonly session: Session;
  readonly members: { readonly call: Call; readonly settle: (reply: Promise<Reply>) => void }[];
}

/** Gathers the members of a batch, which arrive in one turn, and posts them as one array. */
export class Batches {
  readonly #open = new Map<Batch, readonly OpenBatch[]>();

  /** Sends a member within its batch, or alone where the session's revision has none. */
  readonly send = (session: Session, call: Call): Promise<Reply> => {
    const { batch } = call;
    return batch && session.version === BATCH_REVISION
      ? this.#sendMember(session, call, batch)
      : session.send(call);
  };

  #sendMember(session: Session, call: Call, batch: Batch): Promise<Reply> {
    return new Promise((resolve) => {
      const openBatches = this.#open.get(batch) ?? [];
      const openBatch = openBatches.find((one) => one.session === session);
      if (openBatch) {
        openBatch.members.push({ call, settle: resolve });
        return;
      }
      const started: OpenBatch = { session, members: [{ call, settle: resolve }] };
      // Members with different profiles go to different sessions.
      this.#open.set(batch, [...openBatches, started]);
      setImmediate(() => {
        const others = (this.#open.get(batch) ?? []).filter((one) => one !== started);
        if (others.length > 0) this.#open.set(batch, others);
        else this.#open.delete(batch);
        post(started);
      });
    });
  }
}

function post({ session, members: gathered }: OpenBatch): void {
  // Members cancelled in the same turn are not sent.
  const members = gathered.filter(({ call: { signal }, settle }) => {
    if (signal.aborted) settle(Promise.reject(signal.reason));
    return !signal.aborted;
  });
  if (members.length === 0) return;
  const calls = members.map(({ call }) => call);
  const text = `[${calls.map(({ message }) => message.text).join(',')}]`;
  if (calls.some(({ message }) => message.kind === 'request')) {
    const replies = session.requestBatch(calls, text);
    members.forEach(({ settle }, at) => {
      settle(replies[at] ?? Promise.reject(new TypeError('a batch member without a reply')));
    });
    return;
  }
  const accepted = session.notify(text, calls[0]?.signal ?? new AbortController().signal);
  for (const { settle } of members) settle(accepted);
}
