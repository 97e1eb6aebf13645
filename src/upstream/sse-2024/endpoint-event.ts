import { type SigningTarget, signingTarget } from '../../auth/signing.ts';
import { ProxyError } from '../../core/errors/errors.ts';

/** A URL with a session id in its query. */
const MAX_URL_CHARACTERS = 8_192;

/**
 * Reads the `endpoint` event of an HTTP+SSE server (revision 2024-11-05). Pure.
 * @param text - the data of the event, a URL that may be relative.
 * @param streamUrl - the URL of the event stream.
 * @throws ProxyError unusable-answer, for a URL of another origin: credentials go to the configured
 * endpoint only.
 */
export function readEndpointEvent(text: string, streamUrl: URL): SigningTarget {
  const url = text.trim();
  if (url === '' || url.length > MAX_URL_CHARACTERS || !URL.canParse(url, streamUrl.href))
    throw unusable('its endpoint event contains no URL');
  const endpoint = new URL(url, streamUrl);
  if (endpoint.username !== '' || endpoint.password !== '')
    throw unusable('its endpoint event contains a user name or password');
  if (endpoint.origin !== streamUrl.origin)
    throw unusable(
      `its endpoint event names ${endpoint.origin}, and messages with credentials go to ${streamUrl.origin} only`,
    );
  endpoint.hash = '';
  return signingTarget(endpoint);
}

const unusable = (what: string): ProxyError =>
  new ProxyError(
    'unusable-answer',
    `The HTTP+SSE server cannot be used: ${what}. No message was sent. Its operators have to correct that.`,
    { sent: 'no' },
  );
