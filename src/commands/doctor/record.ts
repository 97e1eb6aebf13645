import type { Redactor } from '../../core/errors/redact.ts';
import type { Events, ProxyEvent } from '../../core/pipeline/events.ts';

export interface HeardResponse {
  readonly status: number;
  /**
   * How far the server's clock was ahead of ours when its answer came; undefined where it told no
   * date.
   */
  readonly aheadMs: number | undefined;
}

/** A date header has whole seconds: half of one is what it is off by on average. */
const HALF_A_SECOND_MS = 500;

/** What the proxy reports while the checks run, kept for those that need it. */
export class Record {
  readonly responses: HeardResponse[] = [];
  /** Connections for requests that were opened so far. */
  opened = 0;
  /** A request of the check-up had to wait for a connection. */
  hasWaited = false;
  resolved: { readonly source: string; readonly expiresAt: string | undefined } | undefined;
  hasSessionId = false;
  sessionClosed: string | undefined;

  constructor(events: Events, redactor: Redactor, now: () => number) {
    const observe = (event: ProxyEvent): void => {
      switch (event.type) {
        case 'http.response': {
          const told = Date.parse(event.date);
          const aheadMs = Number.isNaN(told) ? undefined : told + HALF_A_SECOND_MS - now();
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
