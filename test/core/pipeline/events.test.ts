import { describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';

const event: ProxyEvent = { type: 'proxy.draining', inFlight: 0 };

describe('events', () => {
  it('events reach every observer in the order of subscription', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(() => seen.push('first'));
    events.subscribe(({ type }) => seen.push(type));
    events.emit(event);
    expect(seen).toEqual(['first', 'proxy.draining']);
  });

  it('events reach the other observers if one throws', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(() => {
      throw new Error('disk full');
    });
    events.subscribe(({ type }) => seen.push(type));
    expect(() => events.emit(event)).not.toThrow();
    expect(seen).toEqual(['proxy.draining']);
  });

  it('event details are built only if an observer reads them', () => {
    const events = new Events();
    expect(events.detailed).toBe(false);
    events.subscribe(() => undefined, { detailed: false });
    expect(events.detailed).toBe(false);
    events.subscribe(() => undefined);
    events.subscribe(() => undefined, { detailed: false });
    expect(events.detailed).toBe(true);
  });

  it('events with secrets reach only the observers that request them', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(({ type }) => seen.push(`all: ${type}`));
    events.subscribe(({ type }) => seen.push(`asked: ${type}`), { secrets: true });
    events.emit({ type: 'secret.known', value: 'key' });
    events.emit(event);
    expect(seen).toEqual(['asked: secret.known', 'all: proxy.draining', 'asked: proxy.draining']);
  });
});
