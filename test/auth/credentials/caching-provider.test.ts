import { writeFileSync } from 'node:fs';
import { readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REFRESH_RETRY_MS, RESOLVE_LIMIT_MS } from '../../../src/auth/credentials/caching-provider.ts';
import { REFRESH_AHEAD_MS } from '../../../src/auth/credentials/credentials.ts';
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
  test('does nothing before the first need', async () => {
    const rig = await roleRig();
    rig.source('work');
    expect(rig.aws.requests).toHaveLength(0);
    expect(rig.clock.timers).toBe(0);
  });

  test('sixteen callers at once run the process once and get one set', async () => {
    const rig = await makeRig();
    const runs = await countingProcess(rig);
    const source = rig.source('work');
    const sets = await Promise.all(Array.from({ length: 16 }, () => source.current(patient())));
    expect(await runs()).toBe(1);
    expect(new Set(sets).size).toBe(1);
    expect(Object.isFrozen(sets[0])).toBe(true);
    expect(rig.clock.timers).toBe(0);
  });

  test('a caller that leaves does not take the others with it', async () => {
    const rig = await roleRig();
    const release = rig.aws.hold('sts');
    const source = rig.source('work');
    const leaving = new AbortController();
    const first = source.current(leaving.signal);
    const second = source.current(patient());
    await rig.aws.seen('sts', 1);
    leaving.abort(new Error('I left'));
    await expect(first).rejects.toThrow('I left');
    release();
    expect(await second).toMatchObject({ accessKeyId: 'STS-1' });
    expect(rig.aws.of('sts')).toHaveLength(1);
  });

  test('a failure is not remembered: the next call tries again', async () => {
    const rig = await makeRig();
    const source = rig.source('work');
    expect((await failureOf(source.current(patient()))).text).toContain("profile 'work' is not in");
    await rig.home.credentials(`[work]\n${keys('AKIDNEW')}`);
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'AKIDNEW' });
  });

  test('a login made while the proxy runs heals the next call', async () => {
    const rig = await makeRig();
    await rig.home.config(
      '[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n' +
        '[sso-session corp]\nsso_region = eu-north-1\nsso_start_url = https://corp.awsapps.com/start\n',
    );
    const source = rig.source('work');
    expect((await failureOf(source.current(patient()))).text).toContain("Run 'aws sso login --profile work'");
    const expiresAt = new Date(Date.now() + HOUR).toISOString();
    await rig.home.ssoToken('corp', { accessToken: 'sso-token', expiresAt });
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'SSO-1' });
    await rig.home.ssoToken('corp', { accessToken: 'another-token', expiresAt });
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'SSO-2' });
    expect(rig.aws.of('sso')[1]?.headers['x-amz-sso_bearer_token']).toBe('another-token');
  });

  test('a provider that never answers is given up, and the next call begins anew', async () => {
    const rig = await roleRig();
    const release = rig.aws.hold('sts');
    const source = rig.source('work');
    const failing = failureOf(source.current(patient()));
    await rig.aws.seen('sts', 1);
    await rig.clock.advance(RESOLVE_LIMIT_MS);
    expect((await failing).text).toBe(
      "No AWS credentials for profile 'work': no answer within 90 s. Check that STS, SSO and sign-in can be reached from here: " +
        'network, HTTPS_PROXY, NO_PROXY, CA bundle',
    );
    release();
    expect(await source.current(patient())).toMatchObject({ accessKeyId: expect.stringMatching(/^STS-/) });
  });
});

describe('edited files', () => {
  test('count on the next call, without a restart', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const source = rig.source('work');
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'AKIDONE' });
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('count also where the second edit comes within one tick of the file system after the first', async () => {
    const rig = await makeRig();
    const path = join(rig.home.home, '.aws/credentials');
    const tick = new Date();
    const write = async (id: string): Promise<void> => {
      await rig.home.credentials(`[work]\n${keys(id)}`);
      await utimes(path, tick, tick);
    };
    await write('AKIDONE');
    const source = rig.source('work');
    for (const id of ['AKIDTWO', 'AKIDSIX']) {
      await source.current(patient());
      await write(id);
      expect(source.inDoubt).toBe(true);
      expect(await source.current(patient())).toMatchObject({ accessKeyId: id });
      expect(source.inDoubt).toBe(false);
    }
  });

  test('put in doubt whose the set is, and are told of once they have brought another', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    let replaced = 0;
    const source = rig.source('work', { replaced: () => void replaced++ });
    expect(source.inDoubt).toBe(false);
    await source.current(patient());
    expect(source.inDoubt).toBe(false);
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect([source.inDoubt, replaced]).toEqual([true, 0]);
    await source.current(patient());
    expect([source.inDoubt, replaced]).toEqual([false, 1]);
    // The same keys again, in a file that was written anew.
    await rig.home.credentials(`# written anew\n[work]\n${keys('AKIDTWO')}`);
    await source.current(patient());
    expect([source.inDoubt, replaced]).toEqual([false, 1]);
    await rig.home.credentials('');
    await failureOf(source.current(patient()));
    expect([source.inDoubt, replaced]).toEqual([true, 1]);
    await rig.home.credentials(`[work]\n${keys('AKIDTHREE')}`);
    await source.current(patient());
    expect([source.inDoubt, replaced]).toEqual([false, 2]);
  });

  test('have no part in a set that is only renewed', async () => {
    const rig = await roleRig();
    let replaced = 0;
    const source = rig.source('work', { replaced: () => void replaced++ });
    const set = await source.current(patient());
    await rig.clock.advance(60 * 60_000);
    expect((await source.current(patient())).accessKeyId).not.toBe(set.accessKeyId);
    expect([source.inDoubt, replaced]).toEqual([false, 0]);
  });

  test('are looked at once for a burst, and again for the next call however soon it comes', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const source = rig.source('work');
    await source.current(patient());
    const first = source.current(patient());
    writeFileSync(join(rig.home.home, '.aws/credentials'), `[work]\n${keys('AKIDTWO')}`);
    expect(
      (await Promise.all([first, source.current(patient())])).map(({ accessKeyId }) => accessKeyId),
    ).toEqual(['AKIDONE', 'AKIDONE']);
    await new Promise((resolve) => process.nextTick(resolve));
    expect(source.inDoubt).toBe(true);
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('leave it in doubt whose the set is while what they brought is made out', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    await source.current(patient());
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const release = rig.aws.hold('sts');
    const next = source.current(patient());
    await rig.aws.seen('sts', 2);
    expect(source.inDoubt).toBe(true);
    release();
    await next;
    expect(source.inDoubt).toBe(false);
  });

  test('are waited for by whoever asks while what they brought is made out', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    await source.current(patient());
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const release = rig.aws.hold('sts');
    const first = source.current(patient());
    await rig.aws.seen('sts', 2);
    const second = source.current(patient());
    release();
    expect(await first).toMatchObject({ accessKeyId: 'STS-2' });
    expect(await second).toBe(await first);
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('count also for who asks while what was there before is still made out', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const release = rig.aws.hold('sts');
    const first = source.current(patient());
    await rig.aws.seen('sts', 1);
    await rig.home.credentials(`[base]\n${keys('AKIDOTHER')}`);
    const others = [source.current(patient()), source.current(patient())];
    release();
    expect(await first).toMatchObject({ accessKeyId: 'STS-1' });
    expect(await Promise.all(others)).toMatchObject([{ accessKeyId: 'STS-2' }, { accessKeyId: 'STS-2' }]);
    expect(rig.aws.of('sts')).toHaveLength(2);
    expect(source.inDoubt).toBe(false);
  });

  test('that take the static keys away end their use', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const source = rig.source('work');
    await source.current(patient());
    await rig.home.credentials('');
    expect((await failureOf(source.current(patient()))).details).toEqual({ kind: 'failed', profile: 'work' });
    expect((await failureOf(source.current(patient()))).details).toEqual({ kind: 'failed', profile: 'work' });
  });

  test('that lead nowhere leave temporary credentials serving, and are tried again at leisure', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const set = await source.current(patient());
    await rig.home.config('');
    expect(await source.current(patient())).toBe(set);
    expect(rig.reported.at(-1)).toMatchObject({ type: 'credentials.refresh-failed', profile: 'work' });
    const told = rig.reported.length;
    await rig.clock.advance(REFRESH_RETRY_MS - 1);
    expect(await source.current(patient())).toBe(set);
    expect(rig.reported).toHaveLength(told);
    const failed = rig.next('credentials.refresh-failed');
    await rig.clock.advance(1);
    expect(await source.current(patient())).toBe(set);
    expect((await failed).message).toContain("profile 'work' is not in");
  });
});

describe('refreshing', () => {
  test('happens in the background while the old set serves, before it expires, and once', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const first = await source.current(patient());
    await rig.clock.advance(HOUR - REFRESH_AHEAD_MS - 2000);
    expect(await source.current(patient())).toBe(first);
    expect(rig.aws.of('sts')).toHaveLength(1);

    const release = rig.aws.hold('sts');
    await rig.clock.advance(3000);
    const sets = await Promise.all(Array.from({ length: 64 }, () => source.current(patient())));
    expect(new Set(sets)).toEqual(new Set([first]));
    await rig.aws.seen('sts', 2);
    const resolved = rig.next('credentials.resolved');
    release();
    await resolved;
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('keeps one role session name', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    await source.current(patient());
    for (let round = 0; round < 3; round += 1) {
      await rig.clock.advance(HOUR + MINUTE);
      await source.current(patient());
    }
    const names = rig.aws.of('sts').map((request) => request.form.get('RoleSessionName'));
    expect(names).toHaveLength(4);
    expect(new Set(names).size).toBe(1);
    expect(names[0]).toMatch(/^mcp-sigv4-proxy-[\w-]+$/);
  });

  test('that fails is reported and repeated every half minute, until the set has really expired', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const set = await source.current(patient());
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not now</Message></Error></ErrorResponse>',
    });
    await rig.clock.advance(HOUR - REFRESH_AHEAD_MS + 1000);
    const failed = rig.next('credentials.refresh-failed');
    expect(await source.current(patient())).toBe(set);
    expect((await failed).message).toContain('not now');
    expect(await source.current(patient())).toBe(set);
    expect(rig.aws.of('sts')).toHaveLength(2);

    await rig.clock.advance(REFRESH_RETRY_MS);
    const failedAgain = rig.next('credentials.refresh-failed');
    expect(await source.current(patient())).toBe(set);
    await failedAgain;
    expect(rig.aws.of('sts')).toHaveLength(3);

    await rig.clock.advance(REFRESH_AHEAD_MS);
    expect((await failureOf(source.current(patient()))).reason).toBe('no-credentials');
    rig.aws.fail('sts', undefined);
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
  });

  test('never happens in an idle process', async () => {
    const rig = await roleRig();
    await rig.source('work').current(patient());
    await rig.clock.advance(24 * HOUR);
    expect(rig.aws.of('sts')).toHaveLength(1);
    expect(rig.clock.timers).toBe(0);
  });

  test('does not repeat itself on every call when a set arrives expired, as with a wrong clock', async () => {
    const rig = await roleRig();
    rig.aws.lifetimeMs = -HOUR;
    const source = rig.source('work');
    const set = await source.current(patient());
    expect(await source.current(patient())).toBe(set);
    expect(await source.current(patient())).toBe(set);
    expect(rig.aws.of('sts')).toHaveLength(1);
  });
});

describe('renewed', () => {
  test('finds what a file says by now, without waiting for the next look at it', async () => {
    const rig = await makeRig();
    await rig.home.credentials(`[work]\n${keys('AKIDONE')}`);
    const source = rig.source('work');
    const used = await source.current(patient());
    await rig.home.credentials(`[work]\n${keys('AKIDTWO')}`);
    expect(await source.renewed(used, patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'AKIDTWO' });
  });

  test('assumes the role again, once for all who ask', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const used = await source.current(patient());
    const sets = await Promise.all(Array.from({ length: 16 }, () => source.renewed(used, patient())));
    expect(new Set(sets.map((set) => set?.accessKeyId))).toEqual(new Set(['STS-2']));
    expect(await source.renewed(used, patient())).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('is undefined when there is nothing newer, having looked once for all who ask', async () => {
    const rig = await makeRig();
    const runs = await rig.home.write('runs', '');
    const command = await rig.home.script(
      'helper.mjs',
      `import { appendFileSync } from 'node:fs';
       appendFileSync(${JSON.stringify(runs)}, '.');
       console.log(JSON.stringify({ Version: 1, AccessKeyId: 'AKID', SecretAccessKey: 's' }));`,
    );
    await rig.home.config(`[profile work]\ncredential_process = ${command}\n`);
    const source = rig.source('work');
    const used = await source.current(patient());
    const sets = await Promise.all(Array.from({ length: 16 }, () => source.renewed(used, patient())));
    expect(new Set(sets)).toEqual(new Set([undefined]));
    expect(await readFile(runs, 'utf8')).toBe('..');
  });

  test('is undefined when looking fails, and then the next call hears why', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const used = await source.current(patient());
    rig.aws.fail('sts', {
      status: 403,
      body: '<ErrorResponse><Error><Code>AccessDenied</Code><Message>not now</Message></Error></ErrorResponse>',
    });
    expect(await source.renewed(used, patient())).toBeUndefined();
    expect(rig.reported.at(-1)).toMatchObject({ type: 'credentials.refresh-failed' });
    expect((await failureOf(source.current(patient()))).text).toContain('not now');
    rig.aws.fail('sts', undefined);
    expect(await source.current(patient())).toMatchObject({ accessKeyId: 'STS-2' });
  });

  test('a resolution that began before the server spoke is not the last word', async () => {
    const rig = await roleRig();
    rig.aws.lifetimeMs = HOUR;
    const source = rig.source('work');
    const used = await source.current(patient());
    await rig.clock.advance(HOUR - MINUTE);
    const release = rig.aws.hold('sts');
    await source.current(patient());
    await rig.aws.seen('sts', 2);
    const renewing = source.renewed(used, patient());
    release();
    expect(await renewing).toMatchObject({ accessKeyId: 'STS-2' });
    expect(rig.aws.of('sts')).toHaveLength(2);
  });

  test('a caller may leave it', async () => {
    const rig = await roleRig();
    const source = rig.source('work');
    const used = await source.current(patient());
    const release = rig.aws.hold('sts');
    const leaving = new AbortController();
    const first = source.renewed(used, leaving.signal);
    const second = source.renewed(used, patient());
    leaving.abort(new Error('I left'));
    await expect(first).rejects.toThrow('I left');
    release();
    expect(await second).toMatchObject({ accessKeyId: 'STS-2' });
  });
});

describe('close', () => {
  test('ends those who wait, and refuses who comes after', async () => {
    const rig = await roleRig();
    rig.aws.hold('sts');
    const source = rig.source('work');
    const waiting = failureOf(source.current(patient()));
    await rig.aws.seen('sts', 1);
    source.close();
    expect(await waiting).toMatchObject({ reason: 'shutting-down' });
    expect(await failureOf(source.current(patient()))).toMatchObject({ reason: 'shutting-down' });
    expect(rig.reported).toEqual([]);
  });

  test('kills a credential_process that runs', async () => {
    const rig = await makeRig();
    const life = await lifeLine();
    await rig.home.config(
      `[profile work]\ncredential_process = ${await rig.home.script('helper.mjs', life.hang)}\n`,
    );
    const source = rig.source('work');
    const waiting = failureOf(source.current(patient()));
    await life.alive;
    source.close();
    expect(await waiting).toMatchObject({ reason: 'shutting-down' });
    await life.dead;
    expect(rig.clock.timers).toBe(0);
  });
});
