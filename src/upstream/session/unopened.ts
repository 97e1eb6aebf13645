import { causeText, type ErrorReason, factsOf, ProxyError } from '../../core/errors.ts';

/** These say by themselves what is to be done; what else befell the opening of a session is only its cause. */
const TELLING: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  'no-credentials',
  'auth-rejected',
  'circuit-open',
  'rate-limited',
  'shutting-down',
]);

/** A server that forgets what it opened a moment ago will do so again: asking once more is the caller's to decide. */
export const lostTwice = (error: unknown): ProxyError =>
  new ProxyError(
    'session-lost',
    'The MCP session was lost, and so was the new one that was opened for this call, which did not run. Try again. Where this keeps happening, the server does not keep its sessions: several instances behind a load balancer must share them, or see each session always.',
    { sent: 'refused', cause: error, details: factsOf(error).details },
  );

/** @param profile - where the client did not open the session itself, whose it is. */
export const notReopened = (error: unknown, profile: string | undefined): ProxyError =>
  new ProxyError(
    tellingReason(error) ?? 'session-lost',
    `The MCP session${profile === undefined ? '' : ` of the AWS profile '${profile}'`} is gone, and a new one could not be opened: ${causeOf(error)}. This call did not run. Try again, or reconnect the MCP server in your client.`,
    { sent: 'no', cause: error, ...factsOf(error) },
  );

/** The client did not open this session itself, so that only this tells it whose it is. */
export function notOpened(profile: string, error: unknown): ProxyError {
  const { details, ...facts } = factsOf(error);
  return new ProxyError(
    tellingReason(error) ?? 'no-session',
    `No session could be opened for the AWS profile '${profile}': ${causeOf(error)}. This call was not sent; calls with other profiles are not affected.`,
    { sent: 'no', cause: error, ...facts, details: { ...details, profile } },
  );
}

const tellingReason = (error: unknown): ErrorReason | undefined =>
  error instanceof ProxyError && TELLING.has(error.reason) ? error.reason : undefined;

/** Without the last dot: a sentence goes on behind it. */
const causeOf = (error: unknown): string => causeText(error).replace(/[.\s]+$/, '');
