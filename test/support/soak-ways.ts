/** Settings under which the same faults are met, to be combined; what they allow adds up. */
export interface SoakWay {
  readonly args: readonly string[];
  /** AWS profiles that the calls are spread over, each with all that a session needs. */
  readonly profiles?: readonly string[];
  /** The sessions of each profile, each with one or more calls. */
  readonly sessions?: number;
  /** Tools ask the client in the middle of their calls. */
  readonly asks?: boolean;
  /** How often the process gets a SIGHUP. */
  readonly signalMs?: number;
  /** Retries adapt to the rate that the server accepts. */
  readonly adaptive?: boolean;
}

export const SOAK_WAYS = {
  sessions: {
    args: [
      ...['--min-sessions', '2', '--max-sessions', '4', '--calls-per-session', '4', '--session-wait', '5'],
      ...['--session-lifetime', '6', '--session-recycle-window', '3', '--session-idle', '2'],
      ...['--health-interval', '1', '--health-timeout', '0.2'],
    ],
    sessions: 4,
  },
  // Half of what is under way finds a place, the rest a queue in which not everybody has the
  // patience; bursts pass the rate.
  limits: {
    args: [
      ...['--max-concurrent', '8', '--queue-size', '8', '--queue-timeout', '0.3'],
      ...['--rate-limit', '400', '--rate-burst', '20'],
    ],
  },
  profiles: { args: ['--breaker-reset', '1'], profiles: ['one', 'two', 'three'] },
  signals: { args: [], signalMs: 1_500 },
  questions: { args: [], asks: true },
  // The 429s of the fault server follow no rate: to learn one from them leaves a few calls a
  // second.
  adaptive: { args: [], adaptive: true },
} as const satisfies Readonly<Record<string, SoakWay>>;

export type SoakWayName = keyof typeof SOAK_WAYS;

/** All of these together. */
export function combined(names: readonly SoakWayName[]): Required<Omit<SoakWay, 'signalMs' | 'adaptive'>> & {
  readonly signalMs: number | undefined;
} {
  const ways: readonly SoakWay[] = names.map((name) => SOAK_WAYS[name]);
  const profiles = ways.flatMap((way) => way.profiles ?? []);
  const adaptive = ways.some((way) => way.adaptive ?? false);
  return {
    args: ['--retry-mode', adaptive ? 'adaptive' : 'standard', ...ways.flatMap(({ args }) => args)],
    profiles,
    sessions: Math.max(1, ...ways.map(({ sessions = 1 }) => sessions)),
    asks: ways.some(({ asks = false }) => asks),
    signalMs: ways.find((way) => way.signalMs !== undefined)?.signalMs,
  };
}
