import { describe, expect, it } from 'vitest';
import { checkCredentials, maskedKeyId, signingFinding } from '../../../src/commands/doctor/credentials.ts';
import type { Finding } from '../../../src/commands/doctor/finding.ts';
import { startAwsStandIns } from '../../support/aws-stand-ins.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { useEnv } from '../../support/temp-home.ts';
import { converse, settingsFor } from './rig.ts';

const LAMBDA = 'https://id.lambda-url.eu-west-1.on.aws/mcp';
const OFF = { AWS_EC2_METADATA_DISABLED: 'true' };
const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'geheim' };

async function found(...given: Parameters<typeof settingsFor>): Promise<Finding> {
  const settings = await settingsFor(...given);
  // The AWS SDK reads no other environment than the process's own.
  useEnv(settings.env);
  const clock = new FakeClock();
  const { client, observations, signal } = converse(settings, { clock });
  const road = client.proxy.profileTransport(settings.defaultProfile);
  const profile = settings.defaultProfile;
  const { finding } = await checkCredentials({
    profile,
    settings,
    road,
    observations,
    now: () => clock.now(),
    signal,
  });
  return finding;
}

describe('checkCredentials', () => {
  it('checkCredentials reports the masked access key id, the source and the expiry', async () => {
    expect(await found([LAMBDA], { env: KEYS })).toEqual({
      check: 'credentials',
      verdict: 'ok',
      detail: 'AKIA...MPLE of the default chain, from the environment, without expiry',
    });
    const env = { ...KEYS, AWS_CREDENTIAL_EXPIRATION: '2026-01-02T03:56:05Z' };
    expect((await found([LAMBDA], { env })).detail).toBe(
      'AKIA...MPLE of the default chain, from the environment, expires 2026-01-02T03:56:05.000Z (in 52 min)',
    );
  });

  it('checkCredentials reports credentials of an assumed role as such', async () => {
    const aws = await startAwsStandIns({ now: () => Date.UTC(2026, 0, 2, 3, 4, 5) });
    const config =
      '[profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = geheim\n' +
      '[profile dev]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nregion = eu-west-1\n';
    expect((await found([LAMBDA, '--profile', 'dev'], { env: aws.env, config })).detail).toBe(
      "...-1 of profile 'dev', from an assumed role, expires 2026-01-02T04:04:05.000Z (in 60 min)",
    );
  });

  it('checkCredentials warns about expired credentials, because the clock may be wrong', async () => {
    const env = { ...KEYS, AWS_CREDENTIAL_EXPIRATION: '2026-01-02T03:00:05Z' };
    expect(await found([LAMBDA], { env })).toMatchObject({
      verdict: 'warning',
      detail: expect.stringContaining('expired 2026-01-02T03:00:05.000Z (4 min ago)'),
      remedy: expect.stringMatching(
        /^Set new AWS_ACCESS_KEY_ID, .* starts the proxy\. If the credentials are fresh, set this machine's clock\.$/,
      ),
    });
  });

  it("checkCredentials fails without credentials, with the remedy of the proxy's error", async () => {
    expect(
      await found([LAMBDA, '--profile', 'dev'], { env: OFF, config: '[profile prod]\nregion = x\n' }),
    ).toEqual({
      check: 'credentials',
      verdict: 'failed',
      detail: "none found for profile 'dev'",
      remedy: expect.stringMatching(/known profiles: prod\. Choose another with --profile/),
    });
    expect(await found([LAMBDA], { env: OFF })).toMatchObject({
      verdict: 'failed',
      detail: 'none found for the default chain',
      remedy: expect.stringMatching(
        /Set AWS_PROFILE or pass --profile.*run 'aws login' or 'aws configure sso'/,
      ),
    });
  });

  it('checkCredentials warns with --skip-auth if credentials are missing, and fails if they are broken', async () => {
    expect(await found([LAMBDA, '--skip-auth'], { env: OFF })).toMatchObject({
      verdict: 'warning',
      detail: 'none found; requests are sent unsigned (--skip-auth)',
      remedy: expect.stringContaining('Set AWS_PROFILE'),
    });
    expect(await found([LAMBDA, '--skip-auth', '--profile', 'dev'], { env: OFF })).toMatchObject({
      verdict: 'failed',
    });
  });

  it('checkCredentials is skipped with --auth none', async () => {
    expect(await found([LAMBDA, '--auth', 'none'])).toMatchObject({
      verdict: 'skipped',
      detail: 'requests are not signed (--auth none)',
    });
  });
});

it.each([
  ['AKIAIOSFODNN7EXAMPLE', 'AKIA...MPLE'],
  ['SHORT', '...RT'],
  ['', '...'],
])('maskedKeyId shows the access key id %s as %s', (id, shown) => {
  expect(maskedKeyId(id)).toBe(shown);
});

describe('signingFinding', () => {
  it('signingFinding reports service and region with the settings that chose them', async () => {
    expect(signingFinding(await settingsFor([LAMBDA])).detail).toBe(
      'for service lambda (from the host) in region eu-west-1 (from the host)',
    );
    const own = await settingsFor(['https://a.example/mcp', '--service', 'execute-api'], {
      env: { AWS_REGION: 'eu-west-1' },
    });
    expect(signingFinding(own).detail).toBe(
      'for service execute-api (from --service) in region eu-west-1 (from AWS_REGION)',
    );
  });

  it('signingFinding is skipped with --auth none', async () => {
    expect(signingFinding(await settingsFor([LAMBDA, '--auth', 'none'])).verdict).toBe('skipped');
  });
});
