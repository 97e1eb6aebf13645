import type { ChildProcess } from 'node:child_process';
import type { Worker } from 'node:cluster';

/** An accepted connection that no stream reads yet. */
interface RawConnection {
  close(): void;
}

/** The messages by which `node:cluster` passes connections, as far as they matter here. */
interface ClusterMessage {
  readonly cmd?: unknown;
  readonly act?: unknown;
  readonly seq?: unknown;
  readonly ack?: unknown;
}

/**
 * The connections that were sent to one worker, and that it has not acknowledged. If the worker
 * dies, `node:cluster` forgets them and their clients hang (nodejs/node-v0.x-archive#7006). This
 * class passes them to another worker, or closes them.
 */
export class UnacknowledgedConnections {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, RawConnection>();

  /** @param others - whether another worker listens. */
  constructor(worker: Worker, others: () => boolean) {
    this.#child = worker.process;
    this.#observeSent();
    this.#child.on('internalMessage', ({ cmd, ack }: ClusterMessage) => {
      if (cmd === CLUSTER && typeof ack === 'number') this.#open.delete(ack);
    });
    // All acknowledgements have been read by then, and the worker gets no further connection.
    worker.on('disconnect', () => this.#redistribute(others()));
    // Node may not report the end of the channel while a connection is on its way.
    worker.on('exit', () => {
      // If so, `node:cluster` sends it no further connection.
      const isRemoved = !worker.isConnected();
      setImmediate(() => setImmediate(() => this.#end(() => isRemoved && others())));
    });
  }

  #observeSent(): void {
    const child = this.#child;
    const send = child.send.bind(child) as (...args: unknown[]) => boolean;
    child.send = (...args: unknown[]): boolean => {
      const [message, connection] = args as [ClusterMessage, RawConnection | undefined];
      const { cmd, act, seq } = message;
      if (cmd === CLUSTER && act === 'newconn' && typeof seq === 'number' && connection)
        this.#open.set(seq, connection);
      return send(...args);
    };
  }

  /** Called after two turns of the event loop: by then, all that the worker wrote has been read. */
  #end(others: () => boolean): void {
    if (this.#child.connected) this.#child.disconnect();
    // Node waits for the rest of a message that will never arrive; any message ends the wait.
    this.#child.emit('internalMessage', {});
    setImmediate(() => this.#redistribute(others()));
  }

  #redistribute(toOthers: boolean): void {
    for (const [ack, connection] of this.#open) {
      if (toOthers) this.#child.emit('internalMessage', { cmd: CLUSTER, ack, accepted: false });
      else connection.close();
    }
    this.#open.clear();
  }
}

const CLUSTER = 'NODE_CLUSTER';
