import { expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { useWording } from '../../../src/core/errors/wording.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';

it('errors and events name flags until a program asks for another wording', () => {
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event), { secrets: true });
  const report = () => {
    events.emit({ type: 'session.not-ours', message: 'see --header' });
    events.emit({ type: 'secret.known', value: '--header' });
    return new ProxyError('timeout', 'in time (--timeout)', { sent: 'maybe', fact: '--timeout is over' });
  };
  const before = report();
  expect([before.message, before.fact]).toEqual(['in time (--timeout)', '--timeout is over']);
  useWording((text) => text.replaceAll('--', '~'));
  const after = report();
  expect([after.message, after.fact]).toEqual(['in time (~timeout)', '~timeout is over']);
  expect(after.toJsonRpc().message).toBe('in time (~timeout)');
  expect(seen).toEqual([
    { type: 'session.not-ours', message: 'see --header' },
    { type: 'secret.known', value: '--header' },
    { type: 'session.not-ours', message: 'see ~header' },
    { type: 'secret.known', value: '--header' },
  ]);
});
