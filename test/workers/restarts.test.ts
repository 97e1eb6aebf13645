import { describe, expect, it } from 'vitest';
import { decideRestart, NO_STARTS } from '../../src/workers/restarts.ts';

const decide = (lives: readonly { readonly listened: boolean; readonly aliveMs: number }[]) => {
  let record = NO_STARTS;
  return lives.map((life) => {
    const decision = decideRestart(record, life);
    record = decision.record;
    return 'restartMs' in decision ? decision.restartMs : decision.giveUp;
  });
};

const failed = { listened: false, aliveMs: 10 };
const crashed = { listened: true, aliveMs: 59_999 };
const healthy = { listened: true, aliveMs: 60_000 };

describe('the restart of a worker', () => {
  it('the restart of a worker that dies before it listens is given up after five times', () => {
    const gaveUp = 'it ended 5 times in a row before it listened';
    expect(decide([failed, failed, failed, failed, failed])).toEqual([100, 200, 400, 800, gaveUp]);
  });

  it('the restart of a worker that listened is never given up, and waits 30 seconds at most', () => {
    const waits = decide(Array.from({ length: 12 }, () => crashed));
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
  });

  it('the restart of a worker that ran for a minute waits as long as the first restart', () => {
    expect(decide([crashed, crashed, healthy, crashed])).toEqual([100, 200, 100, 200]);
    expect(decide([failed, failed, failed, failed, crashed, failed])).toEqual([
      100, 200, 400, 800, 1_600, 3_200,
    ]);
  });
});
