import type { Revision } from './suite.ts';

/** A check that passes directly, and that no proxy on stdio can pass. */
export interface Inexpressible {
  readonly revision: Revision;
  readonly scenario: string;
  /** The id of the check. */
  readonly check: string;
  readonly reason: string;
}

const NO_HOST = 'a pipe has no Host and no Origin to refuse';
const NO_EVENTS =
  'a pipe has no SSE events: their ids, the time after which to come back and the closed stream stay between proxy and server';
const NO_STREAMS = 'a pipe is one stream; whether the answer is an SSE stream is up to the bridge';

/** The whole list. An entry whose check passes after all makes the comparison fail. */
export const INEXPRESSIBLE: readonly Inexpressible[] = [
  {
    revision: '2025-11-25',
    scenario: 'dns-rebinding-protection',
    check: 'localhost-host-rebinding-rejected',
    reason: NO_HOST,
  },
  {
    revision: '2025-11-25',
    scenario: 'server-sse-multiple-streams',
    check: 'server-sse-streams-functional',
    reason: NO_STREAMS,
  },
  {
    revision: '2025-11-25',
    scenario: 'server-sse-polling',
    check: 'server-sse-priming-event',
    reason: NO_EVENTS,
  },
  {
    revision: '2025-11-25',
    scenario: 'server-sse-polling',
    check: 'server-sse-retry-field',
    reason: NO_EVENTS,
  },
  {
    revision: '2025-11-25',
    scenario: 'server-sse-polling',
    check: 'server-sse-disconnect-resume',
    reason: NO_EVENTS,
  },
];
