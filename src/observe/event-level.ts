import type { ProxyEvent } from '../core/pipeline/events.ts';
import type { LogLevel } from './options.ts';

/** A level that a line can have. */
export type Written = Exclude<LogLevel, 'silent'>;

/**
 * The log level of each event. Clients show every line of stderr as an error: a fault that also
 * reaches the caller as an answer is a warning, and a fault that only the log shows is an error.
 */
export const LEVEL_OF: Readonly<Record<ProxyEvent['type'], Written | 'never'>> = {
  'secret.known': 'never',
  'message.received': 'trace',
  'message.sent': 'trace',
  'http.request': 'debug',
  'http.response': 'debug',
  'http.ended': 'trace',
  'connection.awaited': 'info',
  'connection.waited': 'trace',
  'connection.opened': 'debug',
  'connection.closed': 'debug',
  'connection.silent': 'info',
  'call.begun': 'trace',
  'call.ended': 'debug',
  'call.cancelled': 'debug',
  'call.retried': 'debug',
  'rate.learned': 'debug',
  'rate.limited': 'debug',
  'server.throttled': 'debug',
  // Callers get an error each.
  'call.overloaded': 'debug',
  'breaker.opened': 'warn',
  'breaker.half-opened': 'info',
  'breaker.closed': 'info',
  'breaker.refused': 'debug',
  'client.cancel-unknown': 'debug',
  'stream.opened': 'debug',
  'stream.unavailable': 'debug',
  'stream.ended': 'info',
  'session.opened': 'info',
  'session.closed': 'info',
  'session.lost': 'info',
  'session.borrowed': 'trace',
  'session.returned': 'trace',
  'session.checked': 'debug',
  'session.not-ours': 'warn',
  'session.open-failed': 'warn',
  'snapshot.unusable': 'warn',
  'stream.resumed': 'debug',
  'credentials.resolved': 'info',
  'proxy.draining': 'info',
  'client.gone': 'info',
  'client.disconnected': 'info',
  'client.session-ended': 'debug',
  'listener.tokens-read': 'info',
  'listener.opened': 'info',
  'status.opened': 'info',
  'listener.not-ready': 'warn',
  'listener.ready': 'info',
  'listener.leaving': 'info',
  'worker.started': 'info',
  'worker.ended': 'info',
  'worker.hung': 'error',
  'worker.died': 'error',
  'client.refused': 'warn',
  'tool.call-refused': 'warn',
  // No answer shows it: new tokens are refused while old ones stay valid.
  'listener.tokens-unusable': 'error',
  'listener.tls-unusable': 'error',
  'listener.issuer-keys-read': 'info',
  'listener.issuer-unreachable': 'error',
  'listener.identities-read': 'info',
  'listener.identities-unusable': 'error',
  'client.handshake-failed': 'warn',
  'client.line-invalid': 'warn',
  'client.response-unexpected': 'warn',
  'client.message-dropped': 'warn',
  'call.failed': 'warn',
  'notification.failed': 'warn',
  'upstream.message-dropped': 'warn',
  'upstream.other-id': 'warn',
  'tool.invalid': 'warn',
  'http.failed': 'warn',
  'auth.rejected': 'warn',
  'auth.derived': 'info',
  'transport.derived': 'info',
  'clock.corrected': 'warn',
  'credentials.missing': 'debug',
  // Reported as an answer, or as a failed refresh.
  'credentials.failed': 'debug',
  'credentials.refresh-failed': 'warn',
  // The browser shows that the login has failed, and no answer shows the reason.
  'login.failed': 'error',
  // The client continues with an older revision, and no answer shows the reason.
  'probe.failed': 'error',
  'list.cut': 'warn',
  'tools.listed': 'debug',
  'tools.changed': 'info',
  'tools.refresh-failed': 'warn',
  'tools.hidden': 'info',
  'tools.glob-unmatched': 'warn',
  'tools.all-hidden': 'error',
  'tool.keeps-argument': 'warn',
  // No answer shows them: calls go on with other limits than the operator has set.
  'limits.local': 'error',
  'limits.differ': 'error',
  'limits.shared': 'info',
  // No answer shows them: calls work without telemetry.
  'telemetry.unusable': 'error',
  'telemetry.export-failed': 'error',
  'log.lines-omitted': 'warn',
  'cloudwatch.failed': 'error',
  'access-log.behind': 'error',
  'log.reopened': 'info',
  'log.reopen-failed': 'error',
  'hook.failed': 'warn',
  'internal.fault': 'error',
};

/** The measurements of a call so far; its message is in `message.received`. */
export function fieldsOf(event: ProxyEvent): object {
  const { type: _type, ...fields } = event;
  return 'record' in fields ? { ...fields.record, span: undefined } : fields;
}
