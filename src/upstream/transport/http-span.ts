import type { CallRecord } from '../../core/pipeline/call-record.ts';
import { sessionLabel } from '../../core/pipeline/session-label.ts';
import type { Span } from '../../core/pipeline/span.ts';

/** An HTTP request, as far as its span needs it. */
export interface SpannedRequest {
  readonly method: string;
  readonly lane: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly record?: CallRecord | undefined;
  /** For a request of the proxy: the span that it is a part of. */
  readonly span?: Span | undefined;
}

/** Begins the span of an HTTP request; undefined where its call is not traced. */
export function beginHttpSpan({ record, span, method, lane, headers }: SpannedRequest): Span | undefined {
  const parent = span ?? record?.span;
  // One span id serves all parts of what is not recorded.
  if (!parent?.isRecorded) return parent;
  const session = headers['mcp-session-id'];
  return parent.begin({
    type: 'http',
    method,
    lane,
    session: session === undefined ? undefined : sessionLabel(session),
    protocolVersion: headers['mcp-protocol-version'],
  });
}
