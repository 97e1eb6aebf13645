import { createServer, type Socket } from 'node:net';
import {
  type CredentialProvider,
  type CredentialProviderOptions,
  createCredentialProvider,
} from '../../../src/auth/credentials/caching-provider.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { type AwsStandIns, startAwsStandIns } from '../../support/aws-stand-ins.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeTempHome, type TempHome, useEnv } from '../../support/temp-home.ts';

/** A home, the services, a clock and what was reported; `source` makes the thing under test. */
export interface Rig {
  readonly home: TempHome;
  readonly aws: AwsStandIns;
  readonly clock: FakeClock;
  readonly reported: ProxyEvent[];
  /** More environment for the sources made after this. */
  setEnv(more: NodeJS.ProcessEnv): void;
  provider(
    profile?: string,
    options?: Partial<
      Pick<CredentialProviderOptions, 'fallbackRegion' | 'requestHandler' | 'role' | 'onIdentityChange'>
    >,
  ): CredentialProvider;
  /** The next event of the type, reported after this call. */
  next<T extends ProxyEvent['type']>(type: T): Promise<Extract<ProxyEvent, { type: T }>>;
}

export async function makeRig(): Promise<Rig> {
  const clock = new FakeClock({ now: Date.now() });
  const home = await makeTempHome();
  const aws = await startAwsStandIns({ now: () => clock.now() });
  const events = new Events();
  const reported: ProxyEvent[] = [];
  const waiting = new Set<(event: ProxyEvent) => void>();
  events.subscribe(
    (event) => {
      reported.push(event);
      for (const look of waiting) look(event);
    },
    { secrets: true },
  );
  let env: NodeJS.ProcessEnv = { ...home.env, ...aws.env };
  useEnv(env);
  return {
    home,
    aws,
    clock,
    reported,
    setEnv(more) {
      env = { ...env, ...more };
      useEnv(env);
    },
    provider(profile, options = {}) {
      const provider = createCredentialProvider({
        profile,
        fallbackRegion: undefined,
        env,
        clock,
        events,
        ...options,
      });
      afterThisTest(() => provider.close());
      return provider;
    },
    next: <T extends ProxyEvent['type']>(type: T) =>
      new Promise<Extract<ProxyEvent, { type: T }>>((resolve) => {
        const isIt = (event: ProxyEvent): event is Extract<ProxyEvent, { type: T }> => event.type === type;
        const look = (event: ProxyEvent): void => {
          if (!isIt(event)) return;
          waiting.delete(look);
          resolve(event);
        };
        waiting.add(look);
      }),
  };
}

/** A signal that never aborts. */
export const patient = (): AbortSignal => new AbortController().signal;

/** The parts of an error that a caller sees. */
export async function failureOf(
  work: Promise<unknown>,
): Promise<{ text: string; reason: unknown; details: unknown }> {
  try {
    await work;
  } catch (error) {
    const { message, reason, details } = error as { message: string; reason?: unknown; details?: unknown };
    return { text: message, reason, details };
  }
  throw new Error('it did not fail');
}

/** Where a script's tree reports that it lives: the connection opens when it runs and closes when it is dead. */
export async function lifeLine() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const alive = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const dead = alive.then(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
        socket.resume();
      }),
  );
  const hang = `import('node:net').then(({ connect }) => connect(${port}, '127.0.0.1').on('close', () => process.exit())); setInterval(() => {}, 1000);`;
  return { alive, dead, hang };
}
