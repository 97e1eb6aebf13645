import type { Client, Handler } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { TimeLimits } from '../time-limit.ts';
import type { Send } from './client-writer.ts';

export interface RelayLimits extends TimeLimits {
  /** Bytes of one line to the client, 0 = no limit. */
  readonly maxLineBytes: number;
}

export interface RelayDeps {
  readonly handler: Handler;
  readonly client: Client;
  /** The default profile; a layer may choose another. */
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly limits: RelayLimits;
  /** Milliseconds of silence of a call after which the proxy notifies progress; 0 = never. */
  readonly heartbeatMs?: number;
  readonly send: Send;
}
