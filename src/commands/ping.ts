import { METHOD_NOT_FOUND } from '../core/jsonrpc/message.ts';
import { systemClock } from '../core/time/clock.ts';
import type { CommandContext } from './command.ts';
import { fail, failureOf, wantsJson } from './failure.ts';
import { serverFactsOf } from './server-answer.ts';
import { withServer } from './with-server.ts';

/** Opens a session, sends one ping and prints how long the answers took. */
export function run(context: CommandContext): Promise<number> {
  const { args, stdout } = context;
  const clock = systemClock;
  const begun = clock.monotonic();
  return withServer(context, async (client, opened) => {
    const openMs = Math.round(clock.monotonic() - begun);
    const { name, version, protocolVersion } = serverFactsOf(opened);
    const sent = clock.monotonic();
    const answer = await client.request('ping');
    const pingMs = Math.round(clock.monotonic() - sent);
    const failure = answer.outcome === 'error' ? failureOf(answer) : undefined;
    // Revision 2026-07-28 has no ping: an answer that says so is an answer.
    if (failure && failure.code !== METHOD_NOT_FOUND) return fail(context, failure);
    if (wantsJson(args))
      stdout.json(`${JSON.stringify({ name, version, protocolVersion, openMs, pingMs })}\n`);
    else {
      const server = [name, version].filter(Boolean).join(' ') || 'The server';
      stdout.write(
        `${server} answered in ${pingMs} ms (session opened in ${openMs} ms, MCP ${protocolVersion ?? 'version unknown'})\n`,
      );
    }
    return 0;
  });
}
