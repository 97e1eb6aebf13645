import { expect, it } from 'vitest';
import { Events } from '../../../src/core/pipeline/events.ts';
import type { ExchangeMeter } from '../../../src/core/pipeline/exchange-meter.ts';
import type { Incoming } from '../../../src/upstream/http/incoming.ts';
import { ExchangeReports } from '../../../src/upstream/transport/exchange-reports.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const POST = { method: 'POST', lane: 'request' };
const response = { status: 200, headers: {}, receivedBytes: 7 } as unknown as Incoming;

class Meter implements ExchangeMeter {
  readonly lines: string[] = [];
  sent(method: string, lane: string, bytes: number, isSigned: boolean): void {
    this.lines.push(`sent ${method} ${lane} ${bytes} ${isSigned}`);
  }
  ended(status: number | undefined, bytes: number, isFailure: boolean): void {
    this.lines.push(`ended ${status} ${bytes} ${isFailure}`);
  }
}

it('an HTTP request is observed by no object if nothing observes it', () => {
  const reports = new ExchangeReports({ profile: '', events: new Events(), clock: new FakeClock() });
  expect(reports.begin(POST, 5, true, 1, undefined)).toBeUndefined();
});

it('every meter counts each HTTP request, its response and its failure, without an event', () => {
  const events = new Events();
  const reports = new ExchangeReports({ profile: 'p', events, clock: new FakeClock() });
  const seen: string[] = [];
  const meters = [new Meter(), new Meter()];
  const exchanges = false;
  events.subscribe(({ type }) => seen.push(type), { detailed: false, calls: true, exchanges });
  events.subscribe(() => undefined, { detailed: false, meterOf: () => meters[0] as Meter });
  const first = reports.begin(POST, 5, true, 1, undefined);
  first?.responded(response);
  first?.ended(response, undefined);
  // A meter may come while the proxy runs.
  events.subscribe(() => undefined, { detailed: false, meterOf: () => meters[1] as Meter });
  reports.begin(POST, 6, false, 1, undefined)?.failed(new Error('cut'));
  const second = ['sent POST request 6 false', 'ended undefined 0 true'];
  expect(meters[0]?.lines).toEqual(['sent POST request 5 true', 'ended 200 7 false', ...second]);
  expect(meters[1]?.lines).toEqual(second);
  expect(seen).toEqual([]);
});

it('an observer of HTTP requests gets an event of the begin and the end of each, beside meters', () => {
  const events = new Events();
  const reports = new ExchangeReports({ profile: 'p', events, clock: new FakeClock() });
  const seen: string[] = [];
  const meter = new Meter();
  events.subscribe(({ type }) => seen.push(type), { detailed: false, calls: true });
  events.subscribe(() => undefined, { detailed: false, meterOf: () => meter });
  const observer = reports.begin(POST, 5, true, 1, undefined);
  observer?.responded(response);
  observer?.ended(response, new Error('cut'));
  expect(seen).toEqual(['http.request', 'http.ended']);
  expect(meter.lines).toEqual(['sent POST request 5 true', 'ended 200 7 true']);
});

it('the events of one HTTP request share a number that no other request has', () => {
  const events = new Events();
  const reports = new ExchangeReports({ profile: 'p', events, clock: new FakeClock() });
  const seen: [string, unknown][] = [];
  events.subscribe((event) => seen.push([event.type, 'exchange' in event ? event.exchange : undefined]), {
    detailed: true,
    calls: true,
  });
  const [one, other] = [1, 2].map((attempt) => reports.begin(POST, 5, true, attempt, undefined));
  other?.responded(response);
  one?.responded(response);
  one?.ended(response, undefined);
  other?.ended(response, undefined);
  const [first, second] = seen.map(([, exchange]) => exchange);
  expect(first).not.toBe(second);
  expect(seen).toEqual([
    ['http.request', first],
    ['http.request', second],
    ['http.response', second],
    ['http.response', first],
    ['http.ended', first],
    ['http.ended', second],
  ]);
});
