import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { causeText } from '../../../core/errors/errors.ts';
import { isObject } from '../../../core/jsonrpc/message.ts';
import type { Clock } from '../../../core/time/clock.ts';
import { abortable, withTimeout } from '../../../core/time/waits.ts';
import { findKeysUrl, type GetText, parsed } from './issuer-metadata.ts';

/** Longest wait of a client's request for the keys. */
const READ_TIMEOUT_MS = 5_000;
/** Keys are read again in the background after this time, so that removed keys become invalid. */
const RENEW_MS = 10 * 60_000;
/**
 * Shortest time between two readings: tokens with invented key ids must not cause more requests.
 */
const MIN_INTERVAL_MS = 30_000;
/** Shortest time between two readings while there are no keys: no token can be verified. */
const MIN_INTERVAL_WITHOUT_KEYS_MS = 2_000;
/** Keys stay valid this long while the issuer cannot be reached. */
const MAX_UNCONFIRMED_MS = 24 * 60 * 60_000;

export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeysOptions {
  readonly issuer: string;
  readonly get: GetText;
  readonly clock: Clock;
  /** Called when the keys have changed. */
  readonly onRead: (count: number) => void;
  /** Called once per problem; keys that were read before stay in use. */
  readonly onUnreadable: (problem: string) => void;
}

/** The issuer's keys cannot be read, and none were read before. */
export class NoKeysError extends Error {}

/** The signature keys of an issuer, read on first use and again as they change. */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #set: KeySet | undefined;
  #text = '';
  #problem: string | undefined;
  /** Monotonic times. */
  #readAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /**
   * The keys. Old ones are read again in the background.
   * @throws NoKeysError
   */
  current(): KeySet | Promise<KeySet> {
    const age = this.#options.clock.monotonic() - this.#readAt;
    if (age >= MAX_UNCONFIRMED_MS) this.#set = undefined;
    if (!this.#set) return this.#firstRead();
    if (age >= RENEW_MS) void this.#read(MIN_INTERVAL_MS);
    return this.#set;
  }

  /** Reads the keys again, for an unknown key id; undefined if the next reading is not due yet. */
  async renewed(): Promise<KeySet | undefined> {
    const reading = this.#read(MIN_INTERVAL_MS);
    await reading;
    return reading && this.#set;
  }

  async #firstRead(): Promise<KeySet> {
    await this.#read(MIN_INTERVAL_WITHOUT_KEYS_MS);
    if (!this.#set) throw new NoKeysError(this.#problem);
    return this.#set;
  }

  /** Undefined where it is too early for another reading. Never rejects. */
  #read(minIntervalMs: number): Promise<void> | undefined {
    const { clock } = this.#options;
    if (this.#reading) return this.#reading;
    if (clock.monotonic() - this.#triedAt < minIntervalMs) return undefined;
    this.#triedAt = clock.monotonic();
    this.#reading = withTimeout(clock, READ_TIMEOUT_MS, (signal) => abortable(this.#fetch(signal), signal))
      .then(
        (text) => this.#use(text),
        (error: unknown) => this.#fail(causeText(error)),
      )
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  async #fetch(signal: AbortSignal): Promise<string> {
    const { issuer, get } = this.#options;
    const url = await findKeysUrl(issuer, get, signal);
    const { status, text } = await get(url, signal);
    if (status !== 200) throw new Error(`${url.href} was answered with ${status}`);
    return text;
  }

  #use(text: string): void {
    const set = keySetOf(text);
    if (!set) {
      this.#fail('its jwks_uri did not return a JSON Web Key Set');
      return;
    }
    this.#readAt = this.#options.clock.monotonic();
    this.#problem = undefined;
    if (text === this.#text && this.#set) return;
    this.#text = text;
    this.#set = set;
    this.#options.onRead(set.jwks().keys.length);
  }

  #fail(problem: string): void {
    if (problem !== this.#problem) this.#options.onUnreadable(problem);
    this.#problem = problem;
  }
}

function keySetOf(text: string): KeySet | undefined {
  const document = parsed(text);
  if (!isObject(document)) return undefined;
  try {
    return createLocalJWKSet(document as unknown as JSONWebKeySet);
  } catch {
    return undefined;
  }
}
