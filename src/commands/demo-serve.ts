import { systemClock } from '../core/time/clock.ts';
import { startDemoEndpoint } from '../demo/endpoint.ts';
import type { DemoFault } from '../demo/fault-plan.ts';
import { shellVariable } from './shell-word.ts';

export interface DemoServeOptions {
  readonly write: (text: string) => void;
  readonly port: number;
  readonly faults: readonly DemoFault[];
  /** Aborts when the user ends the endpoint. */
  readonly signal: AbortSignal;
}

/** Runs the demo endpoint until it is interrupted, and prints how to connect to it. */
export async function serveDemo({ write, port, faults, signal }: DemoServeOptions): Promise<number> {
  const endpoint = await startDemoEndpoint({ clock: systemClock, port, faults: new Set(faults) });
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentials;
  const variables = {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
    MCP_PROXY_ENDPOINT: endpoint.url,
    MCP_PROXY_SERVICE: endpoint.service,
    MCP_PROXY_REGION: endpoint.region,
  };
  const lines = Object.entries(variables).map(([name, value]) => `${shellVariable(name, value)}\n`);
  write(
    `# An MCP endpoint that accepts only signed requests runs at ${endpoint.url} until Ctrl-C.\n` +
      (faults.length > 0 ? `# It simulates: ${faults.join(', ')}.\n` : '') +
      `# Paste these lines into another terminal. The credentials work here only, and end with this process.\n${lines.join('')}` +
      '# Then try there:\n#   mcp-sigv4-proxy doctor\n#   mcp-sigv4-proxy tools\n#   mcp-sigv4-proxy call wait ms=20\n',
  );
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const { calls, signaturesVerified, signaturesRefused } = endpoint.counts();
  await endpoint.close();
  write(`# ${calls} tool calls; ${signaturesVerified} signatures verified, ${signaturesRefused} refused.\n`);
  return 0;
}
