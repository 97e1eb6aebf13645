import { describe, expect, it } from 'vitest';
import { type OperatingRegionOptions, OperatingRegions } from '../../src/endpoint/operating-region.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { makeTempHome } from '../support/temp-home.ts';

const OWN = new URL('https://aws-mcp.us-east-1.api.aws/mcp');
const NAMELESS = new URL('https://mcp.example.com/mcp');
const BOTH = '[profile one]\nregion = eu-west-1\n[profile two]\nregion = eu-west-2\n[profile none]\n';

function regionsOf(options: Partial<OperatingRegionOptions> & Pick<OperatingRegionOptions, 'env'>) {
  const clock = new FakeClock();
  return new OperatingRegions({ endpoint: OWN, several: false, keysInFiles: () => true, clock, ...options });
}

describe('the operating region', () => {
  it.each<
    [string, { endpoint?: URL; env?: Record<string, string>; several?: boolean; profile: string }, unknown]
  >([
    ['AWS_REGION first', { env: { AWS_REGION: 'a', AWS_DEFAULT_REGION: 'b' }, profile: 'one' }, 'a'],
    ['AWS_DEFAULT_REGION second', { env: { AWS_REGION: '', AWS_DEFAULT_REGION: 'b' }, profile: 'one' }, 'b'],
    ['the profile third', { profile: 'one' }, 'eu-west-1'],
    ['the endpoint last', { profile: 'none' }, 'us-east-1'],
    ['none of them if no source names one', { endpoint: NAMELESS, profile: 'none' }, undefined],
    [
      'the own one of one of several profiles first',
      { env: { AWS_REGION: 'a' }, several: true, profile: 'two' },
      'eu-west-2',
    ],
    [
      'the process for one of several profiles without its own',
      { env: { AWS_REGION: 'a' }, several: true, profile: 'none' },
      'a',
    ],
  ])(
    'the operating region is that of %s',
    async (_what, { endpoint = OWN, env = {}, several = false, profile }, region) => {
      const home = await makeTempHome();
      await home.config(BOTH);
      const regions = regionsOf({ endpoint, env: { ...home.env, ...env }, several });
      expect(await regions.of(profile)).toBe(region);
    },
  );

  it('the operating region changes with the first call after an edit of the files', async () => {
    const home = await makeTempHome();
    await home.config(BOTH);
    const regions = regionsOf({ env: home.env, several: true });
    expect(await Promise.all(['one', 'two', 'one'].map((name) => regions.of(name)))).toEqual([
      'eu-west-1',
      'eu-west-2',
      'eu-west-1',
    ]);
    await home.credentials('[one]\nregion = ap-south-1\n');
    expect(await regions.of('one')).toBe('ap-south-1');
    expect(await regions.of('two')).toBe('eu-west-2');
  });
  it('the operating region changes within a second of an edit if the credentials are in no file', async () => {
    const home = await makeTempHome();
    await home.config('[default]\nregion = eu-west-1\n');
    const clock = new FakeClock();
    const regions = regionsOf({ env: home.env, keysInFiles: () => false, clock });
    expect(await regions.of('')).toBe('eu-west-1');
    await home.config('[default]\nregion = eu-west-2\n');
    expect(await regions.of('')).toBe('eu-west-1');
    await clock.advance(1_000);
    expect(await regions.of('')).toBe('eu-west-2');
    expect(regions.of('')).toBe('eu-west-2');
  });
});
