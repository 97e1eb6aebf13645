import { describe, expect, it } from 'vitest';
import { type Evidence, judge, median, type Sample, table } from './soak-verdict.ts';

const calm: Sample = { rssMb: 100, descriptors: 30, sockets: 18, sessions: 1 };

const evidence = (change: Partial<Evidence> = {}): Evidence => ({
  tally: {
    requests: 5,
    results: 3,
    cancelled: 1,
    hangs: 0,
    refused: { 'connection-lost': 1 },
    mixedUp: [],
    marked: [
      { token: 'a', ran: 'once' },
      { token: 'b', ran: 'maybe' },
      { token: 'c', ran: 'never' },
    ],
  },
  samples: Array.from({ length: 10 }, () => calm),
  executions: new Map([['a', 1]]),
  initializes: 2,
  strays: 0,
  refusedSignatures: 0,
  questions: undefined,
  usable: true,
  left: calm,
  sessionsAfterExit: 0,
  exitCode: 0,
  stderr: '',
  profiles: 1,
  mostSessions: 1,
  ...change,
});

const tally = (change: Partial<Evidence['tally']>): Partial<Evidence> => ({
  tally: { ...evidence().tally, ...change },
});

const bad = (seen: Evidence): string[] =>
  judge(seen)
    .filter(({ good }) => !good)
    .map(({ what }) => what);

const later = (change: Partial<Sample>): Partial<Evidence> => ({
  samples: Array.from({ length: 10 }, (_, at) => (at < 8 ? calm : { ...calm, ...change })),
});

describe('the verdict on a soak run', () => {
  it('the soak verdict finds nothing if nothing is wrong', () => {
    expect(bad(evidence())).toEqual([]);
    expect(table(judge(evidence()))).not.toContain('BAD');
  });

  it.each<[string, Partial<Evidence>]>([
    ['requests answered or cancelled', tally({ requests: 4 })],
    ['results', tally({ results: 1, requests: 3 })],
    ['errors', tally({ refused: { internal: 1 } })],
    ['answered twice, or never requested', { strays: 1 }],
    ['never answered', tally({ hangs: 1 })],
    ["answered with another's result", tally({ mixedUp: ['a'] })],
    ['signatures refused', { refusedSignatures: 1 }],
    ['server requests answered', { questions: { answered: 0, misrouted: 0 } }],
    ['answers to requests of another session', { questions: { answered: 1, misrouted: 1 } }],
    ['sessions opened', { initializes: 1 }],
    ['memory, second to last fifth (MB)', later({ rssMb: 151 })],
    ['descriptors, second to last fifth', later({ descriptors: 35 })],
    ['sockets, second to last fifth', later({ sockets: 23 })],
    ['sessions at most, at rest, after the end', later({ sessions: 2 })],
    ['sessions at most, at rest, after the end', { sessionsAfterExit: 1 }],
    ['sockets at rest', { left: { ...calm, sockets: 20 } }],
    ['usable when the faults are over', { usable: false }],
    ['exit code', { exitCode: 'none' }],
    ['stderr', { stderr: 'MaxListenersExceededWarning' }],
  ])('the soak verdict reports: %s', (what, change) => {
    expect(bad(evidence(change))).toEqual([what]);
  });

  it('the soak verdict allows the overlap of a replacement at the peak, but not at rest', () => {
    const what = 'sessions at most, at rest, after the end';
    const more = { ...calm, sessions: 2 };
    expect(bad(evidence({ ...later({ sessions: 2 }), overlap: 1 }))).toEqual([]);
    expect(bad(evidence({ ...later({ sessions: 3 }), overlap: 1 }))).toEqual([what]);
    expect(bad(evidence({ left: more, overlap: 1 }))).toEqual([what]);
  });

  it('the soak verdict reports calls that ran otherwise than their clients were told', () => {
    expect(bad(evidence({ executions: new Map([['a', 2]]) }))).toEqual([
      'calls that ran twice',
      'answered, and did not run once',
    ]);
    expect(bad(evidence({ executions: new Map() }))).toEqual(['answered, and did not run once']);
    const lied = new Map([
      ['a', 1],
      ['c', 1],
    ]);
    expect(bad(evidence({ executions: lied }))).toEqual(['said not to have run, and ran']);
  });

  it('the soak verdict uses the median, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBe(0);
  });
});
