import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListening } from '../support/listening.ts';
import { startRelayed } from '../support/relayed.ts';
import type { VerifyOptions } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';
import { verifySigV4a } from '../support/sigv4a-verifier.ts';

/** A server in this region that accepts SigV4A only. */
const verifyIn = (region: string, service = 'execute-api'): VerifyOptions => ({
  ...signingVerify,
  service,
  region,
  verifier: verifySigV4a,
});
const V4A = ['--auth', 'sigv4a', '--service', 'execute-api'];
/** The flags of the rig name a region, which SigV4A does not have. */
const withoutRegion = { signing: [] } as const;

describe('--auth sigv4a', () => {
  it('--auth sigv4a signs all requests of a session for all regions', async () => {
    const { bin, server } = await startRelayed({
      ...withoutRegion,
      verify: verifyIn('ap-southeast-2'),
      args: V4A,
    });
    expect(await bin.initialize({}, 0)).toMatchObject({ id: 0, result: {} });
    const calls = ['', -1, 7].map((id) => bin.request('tools/call', { name: 'echo', arguments: {} }, id));
    for (const answer of await Promise.all(calls)) expect(answer).toMatchObject({ result: {} });
    bin.closeStdin();
    await bin.exit();
    expect(server.of('DELETE')).toHaveLength(1);
    for (const { headers, verification } of server.requests) {
      expect(verification).toMatchObject({ ok: true });
      expect(headers['x-amz-region-set']).toBe('*');
    }
  });

  it('--region-set limits the signature, and a server elsewhere gives an error that names the option', async () => {
    const { bin, server } = await startRelayed({
      ...withoutRegion,
      verify: verifyIn('ap-southeast-2'),
      args: [...V4A, '--region-set', 'eu-west-1', 'us-*'],
    });
    expect((await bin.initialize({}, '')).error).toMatchObject({
      data: { reason: 'auth-rejected', mayHaveRun: false },
      message: expect.stringContaining(
        "It was made with SigV4A for service 'execute-api' in the regions 'eu-west-1,us-*': check --service and --region-set.",
      ),
    });
    expect(server.of('initialize')).toHaveLength(1);
  });

  it('--auth sigv4a at the listener signs for VPC Lattice without the payload', async () => {
    const { ask, server } = await startListening({
      ...withoutRegion,
      verify: verifyIn('eu-west-1', 'vpc-lattice-svcs'),
      args: ['--auth', 'sigv4a', '--service', 'vpc-lattice-svcs'],
    });
    const headers = await openSession(ask, 0);
    const call = { jsonrpc: '2.0', id: '', method: 'tools/call', params: { name: 'echo', arguments: {} } };
    expect((await ask({ headers, body: call })).json).toMatchObject({ id: '', result: {} });
    expect(server.of('tools/call')[0]?.headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
  });

  it('doctor names the regions of --auth sigv4a, and where they come from', async () => {
    const { server } = await startRelayed({ ...withoutRegion, verify: verifyIn('eu-west-1'), args: V4A });
    const doctor = BinDriver.start({
      args: ['doctor', server.url, ...V4A, '--region-set', 'eu-*'],
      env: { ...signingEnv, AWS_ENDPOINT_URL_STS: 'nowhere' },
      anyStdout: true,
    });
    expect((await doctor.exit()).code).toBe(0);
    expect(doctor.lines.join('\n')).toContain(
      'with SigV4A for service execute-api (from --service) in the regions eu-* (from --region-set)',
    );
  });
});
