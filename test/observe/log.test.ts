import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { logEvents } from '../../src/observe/log.ts';
import type { LogLevel } from '../../src/observe/options.ts';
import { makeTempHome, type TempHome } from '../support/temp-home.ts';

let temp: TempHome;
let file: string;
beforeEach(async () => {
  temp = await makeTempHome();
  file = join(temp.home, 'proxy.log');
  return temp.cleanup;
});

async function logged(level: LogLevel, emitted: readonly ProxyEvent[], format = 'json'): Promise<string> {
  const events = new Events();
  const log = logEvents(events, { level, file, format });
  for (const event of emitted) events.emit(event);
  await log.flush();
  return readFile(file, 'utf8').catch(() => '');
}

const ONE_OF_EACH: readonly ProxyEvent[] = [
  { type: 'message.received', kind: 'request', method: 'ping', id: '0', text: '{}' },
  { type: 'connection.opened', profile: '', lane: 'request' },
  {
    type: 'session.opened',
    profile: '',
    session: 'h',
    reason: 'client',
    protocolVersion: '2025-11-25',
    hasId: true,
    ms: 5,
  },
  { type: 'call.failed', method: 'ping', id: '', reason: 'timeout', message: 'late' },
  { type: 'internal.fault', where: 'ping', message: 'x is undefined' },
];

const messages = (text: string): unknown[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).msg);

describe('the level', () => {
  it.each([
    ['trace', 5],
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
    ['silent', 0],
  ] as const)('the log level %s writes %i of five events', async (level, count) => {
    expect(messages(await logged(level, ONE_OF_EACH))).toEqual(
      ONE_OF_EACH.map(({ type }) => type).slice(5 - count),
    );
  });

  it('the log level error writes nothing in a healthy run, and opens no file', async () => {
    await logged('error', [
      ...ONE_OF_EACH.slice(0, 3),
      { type: 'credentials.resolved', profile: '', providerName: 'env', expiresAt: undefined, ms: 1 },
      { type: 'client.gone', how: 'stdin ended' },
      { type: 'proxy.draining', inFlight: 0 },
      { type: 'session.closed', profile: '', session: 'h', reason: 'closed', how: 'deleted', ageMs: 1 },
    ]);
    await expect(stat(file)).rejects.toThrow('ENOENT');
  });

  it.each([
    ['trace', true],
    ['debug', true],
    ['info', false],
    ['error', false],
  ] as const)('the log level %s needs the details of every message: %s', (level, detailed) => {
    const events = new Events();
    logEvents(events, { level, file, format: 'json' });
    expect(events.detailed).toBe(detailed);
  });
});

describe('a line', () => {
  it("a log line holds the event's name, its fields, the time and the process", async () => {
    const line = JSON.parse(await logged('warn', ONE_OF_EACH.slice(3, 4)));
    expect(line).toMatchObject({
      level: 40,
      name: 'mcp-sigv4-proxy',
      pid: process.pid,
      msg: 'call.failed',
      method: 'ping',
      id: '',
      reason: 'timeout',
      message: 'late',
    });
    expect(Math.abs(line.time - Date.now())).toBeLessThan(60_000);
  });

  it('a log line is written before the process ends, also if it is the first and last', async () => {
    const fault: ProxyEvent = { type: 'internal.fault', where: 'the end', message: 'x' };
    expect(messages(await logged('error', [fault]))).toEqual(['internal.fault']);
  });

  it('log lines keep their order, however many precede the loading of the logger', async () => {
    const many = Array.from(
      { length: 100 },
      (_, at): ProxyEvent => ({ type: 'proxy.draining', inFlight: at }),
    );
    const text = await logged('info', many);
    const seen = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).inFlight);
    expect(seen).toEqual(many.map((_event, at) => at));
  });

  it('a log line is readable if the pretty format is chosen', async () => {
    const text = await logged('warn', ONE_OF_EACH.slice(3, 4), 'pretty');
    expect(text).toMatch(/WARN.*call\.failed/);
    expect(text).toContain('reason: "timeout"');
    expect(text).not.toContain('\u001b[');
  });

  it.each(['json', 'pretty'])('a log line in %s holds no secret, in any field', async (format) => {
    const secret = 'a-secret-that-was-told/+=';
    const text = await logged(
      'trace',
      [
        { type: 'secret.known', value: secret },
        { type: 'call.failed', method: secret, id: secret, reason: secret, message: `x ${secret} y` },
        {
          type: 'message.sent',
          kind: 'response',
          method: undefined,
          id: '0',
          text: JSON.stringify({ SecretAccessKey: 's3cret', other: secret }),
        },
        { type: 'http.failed', profile: 'p', message: 'via http://me:pa55@proxy:1' },
      ],
      format,
    );
    for (const word of [secret, 's3cret', 'pa55']) expect(text).not.toContain(word);
    expect(text).not.toContain('secret.known');
    expect(text.match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(7);
  });
});

describe('the file', () => {
  it('the log file belongs to its owner only, and is appended to', async () => {
    await logged('error', ONE_OF_EACH);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(messages(await logged('error', ONE_OF_EACH))).toEqual(['internal.fault', 'internal.fault']);
  });

  it('a log file that cannot be opened has no effect on calls', async () => {
    await writeFile(file, '');
    file = join(file, 'below-a-file');
    expect(await logged('trace', ONE_OF_EACH)).toBe('');
  });
});
