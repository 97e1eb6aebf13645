import type { IncomingMessage } from 'node:http';
import { groupOf, type Share } from '../../core/pipeline/fair-queue.ts';
import type { Caller } from './route.ts';

/** The session is the client's own word, so that it counts within its token or address only. */
export const shareOfCaller = ({ address, token }: Caller, session: string | string[] = ''): Share => ({
  group: groupOf(address, token),
  member: String(session),
});

/** Express removes the mount point from `url` and keeps the whole in `originalUrl`. */
export const pathOf = (request: IncomingMessage & { readonly originalUrl?: unknown }): string => {
  const { url = '', originalUrl } = request;
  return (typeof originalUrl === 'string' ? originalUrl : url).split('?', 1)[0] ?? '';
};

/** Counts the Host headers in an alternating list of names and values. */
export function countHostHeaders(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === 'host') count++;
  }
  return count;
}
