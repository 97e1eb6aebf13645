import {
  causeText,
  type ErrorReason,
  factsOf,
  ProxyError,
  withoutLastDots,
} from '../../core/errors/errors.ts';

/**
 * The server has lost the new sessions too.
 * @param losses - how many sessions refused the call.
 */
export function lostAgain(error: unknown, losses: number): ProxyError {
  const { details } = factsOf(error);
  const news = losses === 2 ? 'so was the new one that was' : `so were the ${losses - 1} new ones that were`;
  const message = `The MCP session was lost, and ${news} opened for this call, which did not run. Try again. Where this keeps happening, the server does not keep its sessions: several instances behind a load balancer must share them, or see each session always.`;
  return new ProxyError('session-lost', withServerMessage(message, details?.serverMessage), {
    sent: 'refused',
    cause: error,
    details,
  });
}

const withServerMessage = (message: string, serverMessage: unknown): string =>
  typeof serverMessage === 'string' && !message.includes(serverMessage)
    ? `${message} The server said: ${serverMessage}`
    : message;

/** Adds the server's message about the lost session to the failure of opening another. */
export function withLossMessage(loss: unknown, failure: unknown): unknown {
  const serverMessage = loss instanceof ProxyError ? loss.details.serverMessage : undefined;
  if (!(failure instanceof ProxyError) || failure.reason === 'timeout' || serverMessage === undefined)
    return failure;
  return new ProxyError(failure.reason, withServerMessage(failure.message, serverMessage), {
    sent: failure.sent,
    fact: failure.fact,
    retryAfterMs: failure.retryAfterMs,
    details: { ...failure.details, serverMessage: failure.details.serverMessage ?? serverMessage },
    cause: failure,
  });
}

/** @param profile - set for a session that the client did not open itself. */
export const notReopened = (error: unknown, profile: string | undefined): ProxyError =>
  new ProxyError(
    actionableReason(error) ?? 'session-lost',
    `The MCP session${profile === undefined ? '' : ` of the AWS profile '${profile}'`} is gone, and a new one could not be opened: ${causeOf(error)}. This call did not run. Try again, or reconnect the MCP server in your client.`,
    { sent: 'no', cause: error, ...factsOf(error) },
  );

/** Names the profile, because the client did not open this session itself. */
export function notOpened(profile: string, error: unknown): ProxyError {
  const { details, ...facts } = factsOf(error);
  return new ProxyError(
    actionableReason(error) ?? 'no-session',
    `No session could be opened for the AWS profile '${profile}': ${causeOf(error)}. This call was not sent; calls with other profiles are not affected.`,
    { sent: 'no', cause: error, ...facts, details: { ...details, profile } },
  );
}

const actionableReason = (error: unknown): ErrorReason | undefined =>
  error instanceof ProxyError && error.actionable ? error.reason : undefined;

/** Without the final dot, because the sentence continues. */
const causeOf = (error: unknown): string => withoutLastDots(causeText(error));
