import type { Message } from '../core/jsonrpc/message.ts';
import type { KnownSession } from '../core/pipeline/call.ts';
import { type Incoming, mediaTypeOf } from '../upstream/http/incoming.ts';
import { readEventMessages, type StreamPosition } from '../upstream/stream/stream.ts';
import type { Affinity } from '../upstream/transport/affinity.ts';
import type { SignedTransport } from '../upstream/transport/signed-transport.ts';

const EVENT_STREAM = 'text/event-stream';

/** A stream that the server resumes after an event. */
export interface ResumedStream {
  readonly transport: SignedTransport;
  readonly session: KnownSession | undefined;
  /** The cookies and routing ids of the session; undefined for none. */
  readonly affinity: Affinity | undefined;
  /** Headers of the client, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly lastEventId: string;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  readonly deliver: (message: Message) => void;
  readonly onEventId: ((id: string) => void) | undefined;
  readonly onDropped: (reason: string) => void;
}

/**
 * Opens the stream with a GET. Resolves to a function that reads it to its end.
 * @throws Error where the server does not resume it.
 */
export async function openResumedStream(stream: ResumedStream): Promise<() => Promise<void>> {
  const { transport, session, affinity, headers, lastEventId, signal } = stream;
  const { response } = await transport.open({
    method: 'GET',
    lane: 'stream',
    headers: {
      ...headers,
      ...(session ? { 'mcp-session-id': session.id } : {}),
      ...(session?.version ? { 'mcp-protocol-version': session.version } : {}),
      accept: EVENT_STREAM,
      // Header values are bytes: the id is returned as the UTF-8 that it arrived in.
      'last-event-id': Buffer.from(lastEventId).toString('latin1'),
    },
    idempotent: true,
    affinity,
    signal,
    observer: { onAttempt: (lease) => lease.cancelOn(signal) },
  });
  if (response.status === 200 && mediaTypeOf(response.headers) === EVENT_STREAM)
    return () => read(response, stream);
  await response.drain().catch(() => undefined);
  throw new Error(`the server refused to resume the stream: HTTP ${response.status}`);
}

async function read(response: Incoming, stream: ResumedStream): Promise<void> {
  const { transport, lastEventId, deliver, onEventId, onDropped } = stream;
  const position: StreamPosition = { lastEventId, retryMs: undefined };
  let reported: string | undefined = lastEventId;
  const report = (): void => {
    const { lastEventId: id } = position;
    if (id === reported) return;
    reported = id;
    if (id !== undefined) onEventId?.(id);
  };
  const messages = readEventMessages(response, position, { onDropped }, transport.readLimit);
  for await (const message of messages) {
    report();
    if (message.kind === 'unusable') onDropped(`the resumed stream has ${message.what}`);
    else deliver(message);
  }
  report();
}
