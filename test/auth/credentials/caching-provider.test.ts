import { writeFileSync } from 'node:fs';
import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MAX_RESOLVE_MS, REFRESH_RETRY_MS } from '../../../src/auth/credentials/caching-provider.ts';
import { MAX_REFRESH_AHEAD_MS } from '../../../src/auth/credentials/credentials.ts';
import { failureOf, lifeLine, makeRig, patient, type Rig } from './rig.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ROLE = 'role_arn = arn:aws:iam::123456789012:role/the-role\n';

const keys = (id: string): string => `aws_access_key_id = ${id}\naws_secret_access_key = secret-of-${id}\n`;

async function roleRig(): Promise<Rig> {
  const rig = await makeRig();
  await rig.home.config(`[profile work]\n${ROLE}source_profile = base\n[profile base]\n${keys('AKIDBASE')}`);
  return rig;
}

/** A helper that writes one character per run and prints a key with the number of the run. */
async function countingProcess(rig: Rig): Promise<() => Promise<number>> {
  const runs = await rig.home.write('runs', '');
  const command = await rig.home.script(
    'helper.mjs',
    `import { appendFileSync, readFileSync } from 'node:fs';
     appendFileSync(${JSON.stringify(runs)}, '.');
     const run = readFileSync(${JSON.stringify(runs)}).length;
     console.log(JSON.stringify({ Version: 1, AccessKeyId: 'AKID' + run, SecretAccessKey: 's' + run }));`,
  );
  await rig.home.config(`[profile work]\ncredential_process = ${command}\n`);
  return async () => (await readFile(runs)).length;
}

describe('resolving', () => {
  test('resolving does nothing before the first call of current', async () => {
    const rig = await roleRig();
    rig.provider('work');
    expect(rig.aws.requests).toHaveLength(0);
    expect(rig.clock.timers).toBe(0);
  });

  test('resolving runs the process once for sixteen concurrent callers', async () => {
    const rig = await makeRig();
    const runs = await countingProcess(rig);
    const provider = rig.provider('work');
    const sets = await Promise.all(Array.from({ length: 16 }, () => provider.current(patient())));
    expect(await runs()).toBe(1);
    expect(new Set(sets).size).toBe(1);
    expect(Object.isFrozen(sets[0])).toBe(true);
    expect(rig.clock.timers).toBe(0);
  });

  test('resolving continues for the other callers when one aborts', async () => {
    const rig = await roleRig();
    const release = rig.aws.hold('sts');
    const provider = rig.provider('work');
    const leaving = new AbortController();
    const first = provider.current(leaving.signal);
    const second = provider.current(patient());
    await rig.aws.seen('sts', 1);
    leaving.abort(new Error('I left'));
    await expect(first).rejects.toThrow('I left');
    release();
    expect(await second).toMatchObject({ accessKeyId: 'STS-1' });
    expect(rig.aws.of('sts')).toHaveLength(1);
  });

  test('resolving does not cache a failure: the next call tries again', async () => {
    const rig = await makeRig();
    const provider = rig.provider('work');
    expect((await failureOf(provider.current(patient()))).text).toContain("profile 'work' is not in");
    await rig.home.credentials(`[work]\n${keys('AKIDNEW')}`);
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDNEW' });
  });

  test('resolving uses a login that was made while the proxy runs', async () => {
    const rig = await makeRig();
    await rig.home.config(
      '[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
        '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n',
    );
    const provider = rig.provider('work');
    expect((await failureOf(provider.current(patient()))).text).toContain(
      "Run 'aws sso login --profile work'",
    );
    const expiresAt = new Date(Date.now() + HOUR).toISOString();
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt });
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'SSO-1' });
    await rig.home.ssoToken('corp', { accessToken: 'another-token', expiresAt });
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'SSO-2' });
    expect(rig.aws.of('sso')[1]?.headers['x-amz-sso_bearer_token']).toBe('another-token');
  });

  test('resolving ends a provider that hangs, and the next call starts again', async () => {
    const rig = await roleRig();
    const release = rig.aws.hold('sts');
    const provider = rig.provider('work');
    const failing = failureOf(provider.current(patient()));
    await rig.aws.seen('sts', 1);
    await rig.clock.advance(MAX_RESOLVE_MS);
    expect((await failing).text).toBe(
      "No AWS credentials for profile 'work': no answer within 90 s. Check that STS, SSO and sign-in can be reached from here: " +
        'network, HTTPS_PROXY, NO_PROXY, CA bundle',
    );
    release();
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: expect.stringMatching(/^STS-/) });
  });
});

describe('edits of the AWS files', () => {
  test('edits of the AWS files count on the next call, without a restart', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const provider = rig.provider('work');
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDONE' });
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('edits of the AWS files count also within one tick of the file system', async () => {
    const rig = await makeRig();
    const path = join(rig.home.home, '.aws/credentials');
    const tick = new Date();
    const write = async (id: string): Promise<void> => {
      await rig.home.credentials(`[work]\n${keys(id)}`);
      await utimes(path, tick, tick);
    };
    await write('AKIDONE');
    const provider = rig.provider('work');
    for (const id of ['AKIDTWO', 'AKIDSIX']) {
      await provider.current(patient());
      await write(id);
      expect(provider.identityMayChange).toBe(true);
      expect(await provider.current(patient())).toMatchObject({ accessKeyId: id });
      expect(provider.identityMayChange).toBe(false);
    }
  });

  test('edits of the AWS files make the identity uncertain until the new credentials are resolved', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    let changes = 0;
    const provider = rig.provider('work', { onIdentityChange: () => void changes++ });
    expect(provider.identityMayChange).toBe(false);
    await provider.current(patient());
    expect(provider.identityMayChange).toBe(false);
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect([provider.identityMayChange, changes]).toEqual([true, 0]);
    await provider.current(patient());
    expect([provider.identityMayChange, changes]).toEqual([false, 1]);
    // The same keys in a file that was written again.
    await rig.home.credentials(`# written anew\n[work]\n${keys('AKIDTWO')}`);
    await provider.current(patient());
    expect([provider.identityMayChange, changes]).toEqual([false, 1]);
    await rig.home.credentials('');
    await failureOf(provider.current(patient()));
    expect([provider.identityMayChange, changes]).toEqual([true, 1]);
    await rig.home.credentials(`[work]\n${keys('AKIDTHREE')}`);
    await provider.current(patient());
    expect([provider.identityMayChange, changes]).toEqual([false, 2]);
  });

  test('edits of the AWS files are not assumed when credentials are only refreshed', async () => {
    const rig = await roleRig();
    let changes = 0;
    const provider = rig.provider('work', { onIdentityChange: () => void changes++ });
    const set = await provider.current(patient());
    await rig.clock.advance(60 * 60_000);
    expect((await provider.current(patient())).accessKeyId).not.toBe(set.accessKeyId);
    expect([provider.identityMayChange, changes]).toEqual([false, 0]);
  });

  test('edits of the AWS files are looked for once in each turn of the event loop', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const provider = rig.provider('work');
    await provider.current(patient());
    const first = provider.current(patient());
    writeFileSync(join(rig.home.home, '.aws/credentials'), `[work]\n${keys('AKIDTWO')}`);
    expect(
      (await Promise.all([first, provider.current(patient())])).map(({ accessKeyId }) => accessKeyId),
    ).toEqual(['AKIDONE', 'AKIDONE']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(provider.identityMayChange).toBe(true);
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('edits of the AWS files leave the identity uncertain while the new credentials are resolved', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    await provider.current(patient());
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const release = rig.aws.hold('sts');
    const next = provider.current(patient());
    await rig.aws.seen('sts', 2);
    expect(provider.identityMayChange).toBe(true);
    release();
    await next;
    expect(provider.identityMayChange).toBe(false);
  });

  test('edits of the AWS files delay calls while the new credentials are resolved', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    await provider.current(patient());
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const release = rig.aws.hold('sts');
    const first = provider.current(patient());
    await rig.aws.seen('sts', 2);
    const second = provider.current(patient());
    release();
    expect(await first).toMatchObject({ accessKeyId: 'STS-2' });
    expect(await second).toBe(await first);
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('edits of the AWS files count also for calls that join an earlier resolution', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const release = rig.aws.hold('sts');
    const first = provider.current(patient());
    await rig.aws.seen('sts', 1);
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const others = [provider.current(patient()), provider.current(patient())];
    release();
    expect(await first).toMatchObject({ accessKeyId: 'STS-1' });
    expect(await Promise.all(others)).toMatchObject([{ accessKeyId: 'STS-2' }, { accessKeyId: 'STS-2' }]);
    expect(rig.aws.of('sts')).toHaveLength(2);
    expect(provider.identityMayChange).toBe(false);
  });

  test('edits of the AWS files that remove static keys end their use', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const provider = rig.provider('work');
    await provider.current(patient());
    await rig.home.credentials('');
    expect((await failureOf(provider.current(patient()))).details).toEqual({
      kind: 'failed',
      profile: 'work',
    });
    expect((await failureOf(provider.current(patient()))).details).toEqual({
      kind: 'failed',
      profile: 'work',
    });
  });

  test('edits of the AWS files without a usable result leave temporary credentials in use', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const set = await provider.current(patient());
    await rig.home.config('');
    expect(await provider.current(patient())).toBe(set);
    expect(rig.reported.at(-1)).toMatchObject({ type: 'credentials.refresh-failed', profile: 'work' });
    const told = rig.reported.length;
    await rig.clock.advance(REFRESH_RETRY_MS - 1);
    expect(await provider.current(patient())).toBe(set);
    expect(rig.reported).toHaveLength(told);
    const failed = rig.next('credentials.refresh-failed');
    await rig.clock.advance(1);
    expect(await provider.current(patient())).toBe(set);
    expect((await failed).message).toContain("profile 'work' is not in");
  });
});

describe('refresh', () => {
  test('a refresh happens once, in the background, before the credentials expire', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const first = await provider.current(patient());
    await rig.clock.advance(HOUR - MAX_REFRESH_AHEAD_MS - 2000);
    expect(await provider.current(patient())).toBe(first);
    expect(rig.aws.of('sts')).toHaveLength(1);

    const release = rig.aws.hold('sts');
    await rig.clock.advance(3000);
    const sets = await Promise.all(Array.from({ length: 64 }, () => provider.current(patient())));
    expect(new Set(sets)).toEqual(new Set([first]));
    await rig.aws.seen('sts', 2);
    const resolved = rig.next('credentials.resolved');
    release();
    await resolved;
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('a refresh keeps the role session name', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    await provider.current(patient());
    for (let round = 0; round < 3; round += 1) {
      await rig.clock.advance(HOUR + MINUTE);
      await provider.current(patient());
    }
    const names = rig.aws.of('sts').map((request) => request.form.get('RoleSessionName'));
    expect(names).toHaveLength(4);
    expect(new Set(names).size).toBe(1);
    expect(names[0]).toMatch(/^mcp-sigv4-proxy-[\w-]+$/);
  });

  test('a refresh that fails is reported and repeated every 30 s until the credentials expire', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const set = await provider.current(patient());
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not now</Message></Error></ErrorResponse>',
    });
    await rig.clock.advance(HOUR - MAX_REFRESH_AHEAD_MS + 1000);
    const failed = rig.next('credentials.refresh-failed');
    expect(await provider.current(patient())).toBe(set);
    expect((await failed).message).toContain('not now');
    expect(await provider.current(patient())).toBe(set);
    expect(rig.aws.of('sts')).toHaveLength(2);

    await rig.clock.advance(REFRESH_RETRY_MS);
    const failedAgain = rig.next('credentials.refresh-failed');
    expect(await provider.current(patient())).toBe(set);
    await failedAgain;
    expect(rig.aws.of('sts')).toHaveLength(3);

    await rig.clock.advance(MAX_REFRESH_AHEAD_MS);
    expect((await failureOf(provider.current(patient()))).reason).toBe('no-credentials');
    rig.aws.fail('sts', undefined);
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
  });

  test('a refresh never happens in an idle process', async () => {
    const rig = await roleRig();
    await rig.provider('work').current(patient());
    await rig.clock.advance(24 * HOUR);
    expect(rig.aws.of('sts')).toHaveLength(1);
    expect(rig.clock.timers).toBe(0);
  });

  test('a refresh is not repeated on every call when credentials arrive expired, as with a wrong clock', async () => {
    const rig = await roleRig();
    rig.aws.lifetimeMs = -HOUR;
    const provider = rig.provider('work');
    const set = await provider.current(patient());
    expect(await provider.current(patient())).toBe(set);
    expect(await provider.current(patient())).toBe(set);
    expect(rig.aws.of('sts')).toHaveLength(1);
  });
});

describe('refresh after a rejection by the server', () => {
  test('a refresh after a rejection reads the current content of the files', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect(await provider.refresh(used, patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('a refresh after a rejection assumes the role again, once for all callers', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    const sets = await Promise.all(Array.from({ length: 16 }, () => provider.refresh(used, patient())));
    expect(new Set(sets.map((set) => set?.accessKeyId))).toEqual(new Set(['STS-2']));
    expect(await provider.refresh(used, patient())).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('a refresh after a rejection returns undefined if the credentials are the same', async () => {
    const rig = await makeRig();
    const runs = await rig.home.write('runs', '');
    const command = await rig.home.script(
      'helper.mjs',
      `import { appendFileSync } from 'node:fs';
       appendFileSync(${JSON.stringify(runs)}, '.');
       console.log(JSON.stringify({ Version: 1, AccessKeyId: 'AKID', SecretAccessKey: 's' }));`,
    );
    await rig.home.config(`[profile work]\ncredential_process = ${command}\n`);
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    const sets = await Promise.all(Array.from({ length: 16 }, () => provider.refresh(used, patient())));
    expect(new Set(sets)).toEqual(new Set([undefined]));
    expect(await readFile(runs, 'utf8')).toBe('..');
  });

  test('a refresh after a rejection returns undefined if it fails, and the next call receives its error', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not now</Message></Error></ErrorResponse>',
    });
    expect(await provider.refresh(used, patient())).toBeUndefined();
    expect(rig.reported.at(-1)).toMatchObject({ type: 'credentials.refresh-failed' });
    expect((await failureOf(provider.current(patient()))).text).toContain('not now');
    rig.aws.fail('sts', undefined);
    expect(await provider.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
  });

  test('a refresh after a rejection resolves again if it joined an earlier resolution', async () => {
    const rig = await roleRig();
    rig.aws.lifetimeMs = HOUR;
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    await rig.clock.advance(HOUR - MINUTE);
    const release = rig.aws.hold('sts');
    await provider.current(patient());
    await rig.aws.seen('sts', 2);
    const renewing = provider.refresh(used, patient());
    release();
    expect(await renewing).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('a refresh after a rejection ends for a caller that aborts', async () => {
    const rig = await roleRig();
    const provider = rig.provider('work');
    const used = await provider.current(patient());
    const release = rig.aws.hold('sts');
    const leaving = new AbortController();
    const first = provider.refresh(used, leaving.signal);
    const second = provider.refresh(used, patient());
    leaving.abort(new Error('I left'));
    await expect(first).rejects.toThrow('I left');
    release();
    expect(await second).toMatchObject({ accessKeyId: 'STS-2' });
  });
});

describe('close', () => {
  test('close ends waiting calls, and rejects later ones', async () => {
    const rig = await roleRig();
    rig.aws.hold('sts');
    const provider = rig.provider('work');
    const waiting = failureOf(provider.current(patient()));
    await rig.aws.seen('sts', 1);
    provider.close();
    expect(await waiting).toMatchObject({ reason: 'shutting-down' });
    expect(await failureOf(provider.current(patient()))).toMatchObject({ reason: 'shutting-down' });
    expect(rig.reported).toEqual([]);
  });

  test('close kills a running credential_process', async () => {
    const rig = await makeRig();
    const life = await lifeLine();
    await rig.home.config(
      `[profile work]\ncredential_process = ${await rig.home.script('helper.mjs', life.hang)}\n`,
    );
    const provider = rig.provider('work');
    const waiting = failureOf(provider.current(patient()));
    await life.alive;
    provider.close();
    expect(await waiting).toMatchObject({ reason: 'shutting-down' });
    await life.dead;
    expect(rig.clock.timers).toBe(0);
  });
});
