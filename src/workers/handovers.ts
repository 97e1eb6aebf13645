import type { ChildProcess } from 'node:child_process';
import type { Worker } from 'node:cluster';

/** A connection that has been accepted, and that no stream reads. */
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
 * The connections on their way to one worker. A worker acknowledges a connection before it reads
 * from it. If it dies first, `node:cluster` forgets the connection, whose client would wait for
 * ever (nodejs/node-v0.x-archive#7006): it is given to another worker, or closed.
 */
export class Handovers {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, RawConnection>();

  /** @param others - whether another worker listens. */
  constructor(worker: Worker, others: () => boolean) {
    this.#child = worker.process;
    this.#observeSent();
    this.#child.on('internalMessage', ({ cmd, ack }: ClusterMessage) => {
      if (cmd === CLUSTER && typeof ack === 'number') this.#open.delete(ack);
    });
    // By then all acknowledgements were read, and no further connection is given to the worker.
    worker.on('disconnect', () => this.#redistribute(others()));
    // Node may not report the end of the channel while a connection is on its way.
    worker.on('exit', () => {
      // Then `node:cluster` gives it no further connection from now on.
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

  /** After two turns of the event loop, in which all that the worker has written was read. */
  #end(others: () => boolean): void {
    if (this.#child.connected) this.#child.disconnect();
    // Node waits for the rest of a message, which no one will write; any message ends the wait.
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
