import { executablePath } from '../core/system/executable.ts';
import { systemClock } from '../core/time/clock.ts';
import { startDemoEndpoint } from '../demo/endpoint.ts';
import { type FanOutReport, runFanOut } from '../demo/fan-out.ts';
import { PACKAGE_NAME } from '../version.ts';

const CALLS = 8;
const CALL_MS = 250;
const MAX_CONNECTIONS = [1, 16] as const;

const COLUMNS = ['connections allowed', '   time', 'connections opened', 'signatures verified'] as const;

export interface DemoOptions {
  /** Prints to the terminal. */
  readonly write: (text: string) => void;
  /** The program that the demo starts, as an MCP client does. */
  readonly binPath: string;
  readonly env: NodeJS.ProcessEnv;
}

const row = (cells: readonly string[]): string =>
  `  ${cells.map((cell, at) => cell.padStart(COLUMNS[at]?.length ?? 0)).join('   ')}\n`;

const reportRow = ({
  maxConnections,
  elapsedMs,
  connectionsOpened,
  signaturesVerified,
}: FanOutReport): string =>
  row([
    String(maxConnections),
    `${Math.round(elapsedMs)} ms`,
    String(connectionsOpened),
    String(signaturesVerified),
  ]);

/**
 * Sends the same tool calls over one connection and over many, without an AWS account: to an
 * endpoint in this process that verifies every signature.
 * @returns the exit code.
 */
export async function runDemo({ write, binPath, env }: DemoOptions): Promise<number> {
  const endpoint = await startDemoEndpoint();
  try {
    write(
      `An MCP endpoint that accepts only signed requests runs at ${endpoint.url}, with temporary test credentials.\n` +
        `The proxy sends it ${CALLS} tool calls of ${CALL_MS} ms at once:\n\n`,
    );
    write(row(COLUMNS));
    for (const maxConnections of MAX_CONNECTIONS) {
      const plan = {
        binPath,
        env,
        endpoint,
        clock: systemClock,
        maxConnections,
        calls: CALLS,
        callMs: CALL_MS,
      };
      write(reportRow(await runFanOut(plan)));
    }
    write(
      '\nNext, with your own AWS credentials, in Claude Code:\n' +
        `  claude mcp add aws -- ${executablePath() ?? `npx -y ${PACKAGE_NAME}`} --lazy --max-connections 8 --profile <yours>\n`,
    );
    return 0;
  } catch (error) {
    write(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await endpoint.close();
  }
}
