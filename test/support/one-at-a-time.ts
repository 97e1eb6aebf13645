import { BinDriver } from './bin-driver.ts';
import { type Handler, SessionServer, type SessionServerOptions } from './mcp-behaviours.ts';
import { ScriptedServer } from './scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from './signing.ts';

/** Calls that the server has begun, one at a time per session, and ends when the test says so. */
export class OneAtATime {
  readonly running: { readonly text: unknown; readonly session: string | undefined; finish(): void }[] = [];
  readonly begun: unknown[] = [];
  #watchers = new Set<() => void>();

  readonly call: Handler = (_request, _response, context) => {
    const session = context.session?.id;
    if (this.running.some((other) => other.session === session)) {
      return context.error(-32000, 'one call at a time');
    }
    const text = (context.params.arguments as { text?: unknown }).text;
    this.begun.push(text);
    const running = {
      text,
      session,
      finish: () => {
        this.running.splice(this.running.indexOf(running), 1);
        context.result({ content: [{ type: 'text', text: String(text) }] });
      },
    };
    this.running.push(running);
    for (const look of this.#watchers) look();
  };

  /** Resolves when so many calls run. */
  runs(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.running.length < count) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  finishAll(): void {
    for (const running of [...this.running]) running.finish();
  }

  finish(text: unknown): void {
    const running = this.running.find((one) => one.text === text);
    if (!running) throw new Error(`${text} does not run`);
    running.finish();
  }
}

/** The bin over a server whose sessions are called s-0, s-1, ... in the order of their opening. */
export async function startPooled(options: SessionServerOptions, ...args: string[]) {
  const opened: (string | undefined)[] = [];
  let next = 0;
  const sessionId = (): string => {
    opened.push(`s-${next}`);
    return `s-${next++}`;
  };
  const sessions = new SessionServer({ sessionId, ...options });
  const server = await ScriptedServer.start(sessions.behaviour, { verify: signingVerify });
  const proxy = BinDriver.start({
    args: [server.url, ...signingArgs, '--max-connections', '16', ...args],
    env: signingEnv,
  });
  const posted = (method: string): number =>
    server.requests.filter(({ rpc }) => rpc.method === method).length;
  const echo = (text: unknown, id?: number | string) =>
    proxy.request('tools/call', { name: 'echo', arguments: { text } }, id);
  return { sessions, server, proxy, posted, echo, opened };
}

/** As `startPooled`, over a server that runs one call per session at a time. */
export async function startOneAtATime(...args: string[]) {
  const tool = new OneAtATime();
  return { tool, ...(await startPooled({ on: { 'tools/call': tool.call } }, ...args)) };
}
