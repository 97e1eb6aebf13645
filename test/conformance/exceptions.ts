import { labelOf } from './compare.ts';
import type { Revision } from './suite.ts';
import type { Way } from './ways.ts';

/** Checks that pass directly, and that cannot pass through the proxy. */
export interface Exception {
  readonly way: Way;
  readonly revision: Revision;
  readonly scenario: string;
  readonly reason: string;
  /** The names of the checks, by their id. */
  readonly checks: Readonly<Record<string, readonly string[]>>;
}

const NO_HOST = 'a pipe has no Host or Origin header to refuse';
const NO_EVENTS =
  'a pipe has no SSE events: event ids, the retry field and closed streams stay between proxy and server';
const NO_STREAMS = 'a pipe is one stream; the bridge answers with JSON, which the suite allows';
const NO_HEADERS =
  'a pipe has no headers that could be wrong or missing: the proxy derives them from the message';
const NO_CLAIM =
  'a pipe has no header that could state the revision; a message that states none is sent by the rules of the session revisions';

const withItsCode = (names: readonly string[]): string[] => names.map((name) => `${name}ErrorCode`);

const WRONG_STANDARD = [
  'ServerRejectsCaseMismatchValue',
  'ServerRejectsMismatchedMethodHeader',
  'ServerRejectsMismatchedNameHeader',
  'ServerRejectsMissingMethodHeader',
  'ServerRejectsMissingNameHeader',
];
const BAD_ENCODING = ['ServerRejectsInvalidBase64Chars', 'ServerRejectsInvalidBase64Padding'];
const MISSING_PARAM = ['ServerRejectsMissingCustomHeader'];

/** The whole list. An entry whose check passes after all makes the comparison fail. */
export const EXCEPTIONS: readonly Exception[] = [
  {
    way: 'stdio',
    revision: '2025-11-25',
    scenario: 'dns-rebinding-protection',
    reason: NO_HOST,
    checks: { 'localhost-host-rebinding-rejected': ['DNSRebindingRejected'] },
  },
  {
    way: 'stdio',
    revision: '2025-11-25',
    scenario: 'server-sse-multiple-streams',
    reason: NO_STREAMS,
    checks: { 'server-sse-streams-functional': ['ServerSSEStreamsFunctional'] },
  },
  {
    way: 'stdio',
    revision: '2025-11-25',
    scenario: 'server-sse-polling',
    reason: NO_EVENTS,
    checks: {
      'server-sse-priming-event': ['ServerSendsPrimingEvent'],
      'server-sse-retry-field': ['ServerSendsRetryField'],
      'server-sse-disconnect-resume': ['ServerDisconnectResume'],
    },
  },
  {
    way: 'stdio',
    revision: '2026-07-28',
    scenario: 'dns-rebinding-protection',
    reason: NO_HOST,
    checks: { 'localhost-host-rebinding-rejected': ['DNSRebindingRejected'] },
  },
  {
    way: 'stdio',
    revision: '2026-07-28',
    scenario: 'http-header-validation',
    reason: NO_HEADERS,
    checks: {
      'sep-2243-server-reject-invalid-headers': WRONG_STANDARD,
      'sep-2243-server-reject-error-code': withItsCode(WRONG_STANDARD),
    },
  },
  {
    way: 'stdio',
    revision: '2026-07-28',
    scenario: 'http-custom-header-server-validation',
    reason: NO_HEADERS,
    checks: {
      'sep-2243-server-reject-invalid-param-chars': BAD_ENCODING,
      'sep-2243-server-validate-param-match': MISSING_PARAM,
      'sep-2243-server-reject-param-mismatch': withItsCode([...BAD_ENCODING, ...MISSING_PARAM]),
    },
  },
  {
    way: 'stdio',
    revision: '2026-07-28',
    scenario: 'server-stateless',
    reason: NO_HEADERS,
    checks: { 'sep-2575-http-server-header-mismatch-400': ['HttpServerHeaderMismatch400'] },
  },
  {
    way: 'stdio',
    revision: '2026-07-28',
    scenario: 'server-stateless',
    reason: NO_CLAIM,
    checks: {
      'sep-2575-http-server-meta-invalid-400': ['HttpServerMetaInvalid400'],
      'sep-2575-request-meta-invalid-missing-meta': ['RequestMetaInvalid'],
      'sep-2575-request-meta-invalid-missing-protocol-version': ['RequestMetaInvalid'],
    },
  },
];

/** The labels of an entry's checks. */
export const labelsOf = ({ checks }: Exception): string[] =>
  Object.entries(checks).flatMap(([id, names]) => names.map((name) => labelOf({ id, name })));
