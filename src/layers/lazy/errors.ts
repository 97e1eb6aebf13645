import { causeText, factsOf, ProxyError } from '../../core/errors/errors.ts';

/** The server's protocol version differs from the one in the snapshot. */
export const revisionChanged = (snapshotRevision: unknown, serverRevision: unknown): ProxyError =>
  new ProxyError(
    'restart-needed',
    `The server now speaks revision ${String(serverRevision)} of MCP, but your client received ${String(snapshotRevision)} from the snapshot of the last run (--lazy). Restart the MCP server in your client; the next start uses the new revision. This call did not run.`,
    { sent: 'no', details: { snapshotRevision, serverRevision } },
  );

/** The error for a call that waited for a session that could not be opened. */
export function toOpenError(error: unknown): ProxyError {
  if (error instanceof ProxyError && error.reason === 'restart-needed') return error;
  // Others get a text about the call. Here a failed connection is the whole story.
  const actionable = error instanceof ProxyError && (error.actionable || error.reason === 'connect-failed');
  const text = actionable
    ? error.message
    : `The MCP session could not be opened, and this call is the first to need it (--lazy): ${causeText(error)}. The call did not run; try again.`;
  return new ProxyError(actionable ? error.reason : 'not-opened', text, {
    sent: 'no',
    cause: error,
    ...factsOf(error),
  });
}
