import { describe, expect, it } from 'vitest';
import { findRegionSetScope, findSigningScope, type ScopeSources } from '../../src/endpoint/signing-scope.ts';
import { makeTempHome } from '../support/temp-home.ts';

async function sources(host: string, given: Partial<ScopeSources> = {}, config = ''): Promise<ScopeSources> {
  const home = await makeTempHome();
  if (config !== '') await home.config(config);
  const { env: variables = {}, ...options } = given;
  return {
    endpoint: new URL(`https://${host}/mcp`),
    service: undefined,
    region: undefined,
    from: {},
    profile: '',
    ...options,
    env: { ...home.env, ...variables },
  };
}

describe('the scope of SigV4 signatures', () => {
  it('an endpoint in several regions needs a region, and the problem names --auth sigv4a', async () => {
    expect(await findSigningScope(await sources('x.global.api.aws'))).toEqual({
      problems: [
        '--region <region> must be given: the host x.global.api.aws does not determine what to sign for (--auth none sends requests unsigned); this endpoint is in several regions, for which --auth sigv4a signs',
      ],
    });
  });

  it('the region of signatures is that of requests to STS', async () => {
    expect(await findSigningScope(await sources('x.eu-west-1.api.aws'))).toMatchObject({
      scope: { service: 'x', region: 'eu-west-1' },
      homeRegion: 'eu-west-1',
    });
  });
});

describe('the scope of SigV4A signatures', () => {
  it.each<[string, string, readonly string[], Partial<ScopeSources>, unknown]>([
    [
      'all regions by default',
      'x.global.api.aws',
      [],
      {},
      { scope: { service: 'x', region: '*' }, from: { service: 'the host', region: 'the default' } },
    ],
    [
      'the given regions',
      'x.global.api.aws',
      ['us-*', 'eu-west-1'],
      { from: { regionSet: '--region-set' } },
      {
        scope: { service: 'x', region: 'us-*,eu-west-1' },
        homeRegion: 'eu-west-1',
        from: { service: 'the host', region: '--region-set' },
      },
    ],
    [
      'VPC Lattice, whose host names the region of STS',
      'svc-1.x.vpc-lattice-svcs.us-west-2.on.aws',
      [],
      {},
      { scope: { service: 'vpc-lattice-svcs', region: '*' }, homeRegion: 'us-west-2' },
    ],
    [
      'a variable for STS',
      'x.global.api.aws',
      [],
      { env: { AWS_REGION: 'ap-south-1' } },
      { scope: { service: 'x', region: '*' }, homeRegion: 'ap-south-1' },
    ],
    [
      'a host without a service',
      'mcp.example.com',
      [],
      {},
      {
        problems: [
          '--service <name> must be given: the host mcp.example.com does not determine what to sign for (--auth none sends requests unsigned)',
        ],
      },
    ],
  ])('the scope of SigV4A is found for %s', async (_what, host, regionSet, given, scope) => {
    expect(await findRegionSetScope(await sources(host, given), regionSet)).toMatchObject(scope as object);
  });

  it('an invalid region of the profile is a problem, because STS could not be reached', async () => {
    const given = await sources('x.global.api.aws', {}, '[default]\nregion = Europe\n');
    expect(await findRegionSetScope(given, [])).toEqual({
      problems: ['region of profile "default" must be a region name such as us-east-1, not "Europe"'],
    });
  });
});
