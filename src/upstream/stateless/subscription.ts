import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import {
  idText,
  isObject,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
} from '../../core/jsonrpc/message.ts';
import type { Call, Emit, Origin, Reply } from '../../core/pipeline/call.ts';
import { isRejectedUnread } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { type Failure, failureOfError, failureOfReply } from '../../core/pipeline/failure.ts';
import { reconnectDelay } from '../../core/time/backoff.ts';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';

/**
 * Waits between attempts. Clients read their lists again after each reopened stream, so reopening
 * must be rare.
 */
const REOPEN_BASE_MS = 1_000;
const REOPEN_MAX_MS = 30_000;
/** Failed attempts in a row, about two minutes; then the client gets an error. */
const MAX_REOPEN_ATTEMPTS = 8;
/** Fewer attempts before the acknowledgement: the client waits for it, for at most a minute. */
const MAX_FIRST_ATTEMPTS = 3;
/** A stream that lived this long does not count as a failure. */
const MIN_LIFETIME_MS = 10_000;

export interface SubscriptionDeps {
  /** Posts the request; settles with its answer, or with what broke its stream. */
  readonly attempt: (emit: Emit) => Promise<Reply>;
  readonly call: Call;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Keeps a `subscriptions/listen` stream open: reopens it under the same id after a break, and emits
 * the changes that may have been missed. Where that fails, the client gets an error, because
 * silence would mean "no change".
 */
export function subscribe(request: Request, deps: SubscriptionDeps): Promise<Reply> {
  return new Subscription(request, deps).run();
}

/** The state of one stream. */
interface StreamProgress {
  acknowledged: boolean;
  brought: boolean;
}

type SubscriptionOutcome = { readonly reply: Reply } | { readonly error: unknown };

class Subscription {
  readonly #request: Request;
  readonly #deps: SubscriptionDeps;
  /** The notifications that the server has acknowledged; undefined before. */
  #acknowledged: JsonObject | undefined;

  constructor(request: Request, deps: SubscriptionDeps) {
    this.#request = request;
    this.#deps = deps;
  }

  async run(): Promise<Reply> {
    const { clock, events, call } = this.#deps;
    const { signal, profile } = call;
    for (let failures = 0, short = 0; ; ) {
      const began = clock.monotonic();
      const progress: StreamProgress = { acknowledged: false, brought: false };
      const outcome = await this.#attempt(progress);
      signal.throwIfAborted();
      const failure =
        'reply' in outcome ? failureOfReply(outcome.reply, clock.now()) : failureOfError(outcome.error);
      failures = progress.acknowledged ? 0 : failures + 1;
      const lived = progress.brought || clock.monotonic() - began >= MIN_LIFETIME_MS;
      short = progress.acknowledged && lived ? 0 : short + 1;
      const spent = failures >= (this.#acknowledged ? MAX_REOPEN_ATTEMPTS : MAX_FIRST_ATTEMPTS);
      if (!failure || spent || !this.#isTransient(failure)) return this.#settle(outcome, failures);
      events.emit({ type: 'stream.ended', profile, how: failure.message });
      const wait = reconnectDelay(clock, {
        wishMs: failure.retryAfterMs,
        empty: short,
        failed: true,
        baseMs: REOPEN_BASE_MS,
        maxMs: REOPEN_MAX_MS,
      });
      await sleep(clock, wait, signal);
    }
  }

  async #attempt(progress: StreamProgress): Promise<SubscriptionOutcome> {
    try {
      return {
        reply: await this.#deps.attempt((message, origin) => this.#handleMessage(message, origin, progress)),
      };
    } catch (error) {
      return { error };
    }
  }

  /** Before the acknowledgement, the retry layer handles most failures. */
  #isTransient({ how, status = 0, errorType }: Failure): boolean {
    if (!this.#acknowledged) return how === 'connection-lost' || (how === 'http-status' && status > 500);
    if (how === 'connection-lost' || how === 'connect-failed') return true;
    const answered = how === 'answered' || how === 'http-status';
    return answered && (isTemporary(status) || isRejectedUnread(errorType));
  }

  /** Before the acknowledgement errors pass unchanged; a reply of the server is final. */
  #settle(outcome: SubscriptionOutcome, failures: number): Reply {
    if ('reply' in outcome) return outcome.reply;
    const { error } = outcome;
    if (!this.#acknowledged || (error instanceof ProxyError && error.reason === 'subscription-lost'))
      throw error;
    throw subscriptionLost(
      `${causeText(error)}${failures > 1 ? ` It was tried ${failures} times.` : ''}`,
      error,
    );
  }

  async #handleMessage(message: Message, origin: Origin, progress: StreamProgress): Promise<void> {
    const { call, events } = this.#deps;
    const acknowledges =
      message.kind === 'notification' && message.method === 'notifications/subscriptions/acknowledged';
    if (progress.acknowledged || !acknowledges) {
      progress.brought = true;
      return call.emit(message, origin);
    }
    progress.acknowledged = true;
    const { notifications } = paramsOf(message);
    const honoured = isObject(notifications) ? notifications : {};
    const before = this.#acknowledged;
    this.#acknowledged ??= honoured;
    if (!before) return call.emit(message, origin);
    if (!covers(honoured, before))
      throw subscriptionLost('the server does not tell of all that it did before', undefined);
    events.emit({ type: 'stream.resumed', profile: origin.profile });
    for (const change of missedChanges(before, idText(this.#request))) await call.emit(change, origin);
  }
}

const subscriptionLost = (why: string, cause: unknown): ProxyError =>
  new ProxyError(
    'subscription-lost',
    `The stream of the subscription broke, and could not be opened again as it was: ${why} Changes may have been missed: read the lists again, and subscribe again.`,
    { sent: 'maybe', ...(cause === undefined ? {} : { cause }) },
  );

/** True where everything acknowledged before is acknowledged again. */
const covers = (now: JsonObject, before: JsonObject): boolean =>
  Object.entries(before).every(([key, promised]) => {
    const again = now[key];
    if (!Array.isArray(promised)) return promised !== true || again === true;
    return Array.isArray(again) && promised.every((one) => again.includes(one));
  });

/** Filter names and their notification methods. */
const CHANGES: readonly (readonly [filter: string, method: string])[] = [
  ['toolsListChanged', 'notifications/tools/list_changed'],
  ['promptsListChanged', 'notifications/prompts/list_changed'],
  ['resourcesListChanged', 'notifications/resources/list_changed'],
];

/** Creates notifications for everything that may have changed. */
function missedChanges(honoured: JsonObject, id: string): Notification[] {
  const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":${id}}`;
  const change = (method: string, params: string): Notification => {
    const text = `{"jsonrpc":"2.0","method":"${method}","params":{${params}}}`;
    return { kind: 'notification', method, text, json: JSON.parse(text) };
  };
  const { resourceSubscriptions } = honoured;
  const uris: readonly unknown[] = Array.isArray(resourceSubscriptions) ? resourceSubscriptions : [];
  return [
    ...CHANGES.filter(([filter]) => honoured[filter] === true).map(([, method]) => change(method, meta)),
    ...uris
      .filter((uri) => typeof uri === 'string')
      .map((uri) => change('notifications/resources/updated', `${meta},"uri":${JSON.stringify(uri)}`)),
  ];
}
