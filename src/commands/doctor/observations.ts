import type { Redactor } from '../../core/errors/redact.ts';
import type { Events, ProxyEvent } from '../../core/pipeline/events.ts';

export interface ObservedResponse {
  readonly status: number;
  /** How far the server's clock is ahead of ours; undefined without a Date header. */
  readonly aheadMs: number | undefined;
}

/** A Date header has whole seconds, so on average it is half a second late. */
const MEAN_DATE_ERROR_MS = 500;

/** Collects the proxy's events for the checks. */
export class Observations {
  readonly responses: ObservedResponse[] = [];
  /** The number of connections for requests that were opened. */
  opened = 0;
  /** True if a request had to wait for a connection. */
  hasWaited = false;
  resolved: { readonly providerName: string; readonly expiresAt: string | undefined } | undefined;
  /** Set once `--auth auto` has derived the kind. */
  derived: { readonly kind: string; readonly because: string } | undefined;
  hasSessionId = false;
  sessionClosed: string | undefined;

  constructor(events: Events, redactor: Redactor, now: () => number) {
    const observe = (event: ProxyEvent): void => {
      switch (event.type) {
        case 'http.response': {
          const serverMs = Date.parse(event.date);
          const aheadMs = Number.isNaN(serverMs) ? undefined : serverMs + MEAN_DATE_ERROR_MS - now();
          this.responses.push({ status: event.status, aheadMs });
          break;
        }
        case 'connection.awaited':
          this.hasWaited = true;
          break;
        case 'connection.opened':
          if (event.lane === 'request') this.opened++;
          break;
        case 'credentials.resolved':
          this.resolved = event;
          break;
        case 'auth.derived':
          this.derived = event;
          break;
        case 'session.opened':
          this.hasSessionId = event.hasId;
          break;
        case 'session.closed':
          this.sessionClosed = event.how;
          break;
        case 'secret.known':
          redactor.learn(event.value, event);
      }
    };
    events.subscribe(observe, { secrets: true });
  }
}
