import { ProxyError } from '../core/errors/errors.ts';
import { isObject, type Message, paramsOf } from '../core/jsonrpc/message.ts';
import type { Call, Layer } from '../core/pipeline/call.ts';

/** A login in the browser that this process waits for. */
export interface LoginOffer {
  /** Names the login in messages to the client. */
  readonly id: string;
  /** The page where the user logs in. */
  readonly url: string;
}

/**
 * Where a call needs a login: begins one, and passes its page to a client that can open URLs (MCP
 * 2025-11-25, URL mode elicitation). Other clients get the error with the command to run.
 * @param begin - returns the login that is waited for, or begins one.
 */
export function loginElicitation(
  begin: (profile: string, signal: AbortSignal) => Promise<LoginOffer>,
): Layer {
  let opensUrls = false;
  return (next) =>
    function loginElicitation(call) {
      if (isInitialize(call.message)) opensUrls = canOpenUrls(call.message);
      const reply = next(call);
      return opensUrls && mayElicit(call.message)
        ? reply.catch((error: unknown) => offer(begin, call, error))
        : reply;
    };
}

const isInitialize = (message: Message): boolean =>
  message.kind === 'request' && message.method === 'initialize';

/** The requests for which clients expect this error. */
const ELICITING: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

const mayElicit = (message: Message): boolean => message.kind === 'request' && ELICITING.has(message.method);

/** True if the client declares URL mode elicitation. */
function canOpenUrls(message: Message): boolean {
  if (message.kind !== 'request') return false;
  const { capabilities } = paramsOf(message);
  const elicitation = isObject(capabilities) ? capabilities.elicitation : undefined;
  return isObject(elicitation) && isObject(elicitation.url);
}

async function offer(
  begin: (profile: string, signal: AbortSignal) => Promise<LoginOffer>,
  { profile, signal }: Call,
  error: unknown,
): Promise<never> {
  if (!(error instanceof ProxyError) || error.reason !== 'login-required') throw error;
  let login: LoginOffer;
  try {
    login = await begin(profile, signal);
  } catch {
    // The command shows why a login cannot begin.
    throw error;
  }
  const { id: elicitationId, url } = login;
  const message = 'Log in to the MCP server in your browser, then repeat the request.';
  throw new ProxyError('url-elicitation', error.message, {
    sent: error.sent,
    details: { ...error.details, elicitations: [{ mode: 'url', elicitationId, url, message }] },
    cause: error,
  });
}
