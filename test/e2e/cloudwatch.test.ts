import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { CloudWatchStandIn } from '../support/cloudwatch-stand-in.ts';
import { startInitialized } from '../support/relayed.ts';
import { TEST_KEY } from '../support/signing.ts';

/** No publication but the one at the end. */
const AT_THE_END = ['--cloudwatch-interval', '86400'];

describe('--cloudwatch-namespace', () => {
  it("--cloudwatch-namespace publishes counts with the proxy's credentials, dimensions and region", async () => {
    const cloudWatch = await CloudWatchStandIn.start();
    const { bin } = await startInitialized({
      args: ['--cloudwatch-namespace', 'Tools/Test', '--cloudwatch-dimensions', 'Stage=beta', ...AT_THE_END],
      env: cloudWatch.env,
    });
    for (const id of [0, '', -1]) await bin.request('tools/call', { name: 'echo', arguments: {} }, id);
    await bin.request('tools/call', { name: 'nothing', arguments: {} }, 1);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
    const [request] = cloudWatch.requests;
    expect(request?.namespace).toBe('Tools/Test');
    expect(request?.headers.authorization).toContain(`Credential=${TEST_KEY.accessKeyId}/`);
    expect(request?.headers.authorization).toContain('/eu-west-1/monitoring/aws4_request');
    // The four calls and the handshake.
    expect(cloudWatch.sumOf('Calls', { Profile: 'default', Outcome: 'ok', Stage: 'beta' })).toBe(4);
    expect(cloudWatch.sumOf('Calls', { Outcome: 'error' })).toBe(1);
    expect(cloudWatch.sumOf('CallDuration')).toBe(5);
    expect(cloudWatch.sumOf('SessionsOpened', { Reason: 'client' })).toBe(1);
    expect(JSON.stringify(cloudWatch.data)).not.toContain('nothing');
  });

  it.each([
    [403, 'AccessDeniedException', 'User is not authorized', /Allow cloudwatch:PutMetricData/],
    [
      400,
      'InvalidParameterValueException',
      'The parameter Namespace is invalid',
      /Correct --cloudwatch-namespace/,
    ],
  ])(
    'CloudWatch that answers %i %s costs one clear log line, and no call',
    async (status, type, message, advice) => {
      const cloudWatch = await CloudWatchStandIn.start();
      cloudWatch.error = { status, type, message };
      const { bin } = await startInitialized({
        args: ['--cloudwatch-namespace', 'Test', '--cloudwatch-interval', '1'],
        env: cloudWatch.env,
      });
      await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
      await bin.stderrMatching(/cloudwatch\.failed.*\n/);
      await expect.poll(() => cloudWatch.requests.length, { timeout: 5_000 }).toBeGreaterThan(1);
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      const lines = bin.stderr.trim().split('\n');
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(message);
      expect(lines[0]).toMatch(advice);
    },
  );

  it.each([
    [['--cloudwatch-namespace', 'AWS/Mine'], /--cloudwatch-namespace must be .* not begin with AWS\//],
    [['--cloudwatch-namespace', 'x', '--cloudwatch-dimensions', 'nothing'], /must be key=value/],
    [['--cloudwatch-dimensions', 'a=b'], /--cloudwatch-dimensions needs --cloudwatch-namespace/],
    [['--cloudwatch-namespace', 'x', '--cloudwatch-interval', '0'], /--cloudwatch-interval must be/],
    [['--cloudwatch-namespace', 'x', '--auth', 'none'], /--cloudwatch-namespace needs AWS credentials/],
  ])('the CloudWatch options %j are refused at the start', async (args, complaint) => {
    const bin = BinDriver.start({ args: ['https://abc.execute-api.eu-west-1.amazonaws.com/mcp', ...args] });
    expect(await bin.exit()).toMatchObject({ code: 2 });
    expect(bin.stderr).toMatch(complaint);
  });
});

describe('--log-format emf', () => {
  it('--log-format emf writes the metrics as lines of the log, and sends nothing', async () => {
    const cloudWatch = await CloudWatchStandIn.start();
    const { bin } = await startInitialized({
      args: [
        '--log-format',
        'emf',
        '--cloudwatch-namespace',
        'Mine',
        '--cloudwatch-dimensions',
        'Stage=beta',
      ],
      env: cloudWatch.env,
    });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    bin.closeStdin();
    await bin.exit();
    const documents = bin.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const calls = documents.find((document) => document.Calls !== undefined && document.Outcome === 'ok');
    expect(calls).toMatchObject({ Stage: 'beta', Profile: 'default', Calls: 2 });
    expect(calls._aws.CloudWatchMetrics).toEqual([
      {
        Namespace: 'Mine',
        Dimensions: [['Stage', 'Profile', 'Outcome']],
        Metrics: [{ Name: 'Calls', Unit: 'Count' }],
      },
    ]);
    expect(documents.find((document) => document.CallDuration)?.CallDuration).toMatchObject({ Count: 2 });
    expect(cloudWatch.requests).toEqual([]);
  });
});
