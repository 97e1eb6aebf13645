import { describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';

const event: ProxyEvent = { type: 'proxy.draining', inFlight: 0 };

describe('events', () => {
  it('reach every observer in the order of subscription', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(() => seen.push('first'));
    events.subscribe(({ type }) => seen.push(type));
    events.emit(event);
    expect(seen).toEqual(['first', 'proxy.draining']);
  });

  it('survive an observer that throws: a broken log costs nobody an answer', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(() => {
      throw new Error('disk full');
    });
    events.subscribe(({ type }) => seen.push(type));
    expect(() => events.emit(event)).not.toThrow();
    expect(seen).toEqual(['proxy.draining']);
  });

  it('are built in detail only where somebody reads the details', () => {
    const events = new Events();
    expect(events.detailed).toBe(false);
    events.subscribe(() => undefined, { detailed: false });
    expect(events.detailed).toBe(false);
    events.subscribe(() => undefined);
    events.subscribe(() => undefined, { detailed: false });
    expect(events.detailed).toBe(true);
  });

  it('that are secrets come to those only who ask for them', () => {
    const events = new Events();
    const seen: string[] = [];
    events.subscribe(({ type }) => seen.push(`all: ${type}`));
    events.subscribe(({ type }) => seen.push(`asked: ${type}`), { secrets: true });
    events.emit({ type: 'secret.known', value: 'key' });
    events.emit(event);
    expect(seen).toEqual(['asked: secret.known', 'all: proxy.draining', 'asked: proxy.draining']);
  });
});
