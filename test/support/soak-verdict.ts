/**
 * The state at one moment: memory and descriptors of the process, open sessions and sockets of the
 * server.
 */
export interface Sample {
  readonly rssMb: number;
  readonly descriptors: number;
  readonly sockets: number;
  readonly sessions: number;
}

export interface Tally {
  requests: number;
  results: number;
  cancelled: number;
  hangs: number;
  /** Errors by their reason. */
  readonly refused: Record<string, number>;
  /** Answers that belong to another request. */
  readonly mixedUp: string[];
  /** Calls of the tool that must not run twice, with what their client received. */
  readonly marked: { readonly token: string; readonly ran: 'once' | 'maybe' | 'never' }[];
}

export interface Evidence {
  readonly tally: Tally;
  readonly samples: readonly Sample[];
  /** By token, as the server counted. */
  readonly executions: ReadonlyMap<string, number>;
  readonly initializes: number;
  readonly strays: number;
  readonly refusedSignatures: number;
  /** The server requests of tools during calls; undefined if there were none. */
  readonly questions: { readonly answered: number; readonly misrouted: number } | undefined;
  /** With the faults over, everything is answered again. */
  readonly usable: boolean;
  /** At rest, before stdin was closed. */
  readonly left: Sample;
  readonly sessionsAfterExit: number;
  /** `none`: it had to be killed. */
  readonly exitCode: number | null | 'none';
  readonly stderr: string;
  readonly profiles: number;
  /** The peak of one profile. */
  readonly mostSessions: number;
  /** Sessions of one profile beyond these, only while one replaces another. Default: 0. */
  readonly overlap?: number;
  /**
   * True where the clients open sessions: one whose opening was cut stays open at the server, and
   * the proxy neither counts nor deletes it.
   */
  readonly isListener?: boolean;
}

export interface Row {
  readonly what: string;
  readonly found: string;
  readonly wanted: string;
  readonly good: boolean;
}

/** A heap that is at home after the first fifth moves by this much between two collections. */
const RSS_SLACK_MB = 20;
const RSS_SLACK_SHARE = 0.1;
/**
 * Where the heap of a long run is at home. Below it, that of a short run on a busy machine is still
 * growing into its size.
 */
const RSS_AT_HOME_MB = 120;
/**
 * The sockets of one profile: 16 for requests, one stream for each session, and two control
 * connections.
 */
const socketsAtRest = (sessions: number): number => 18 + sessions;

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** The median of the second fifth, in which everything has been used once, and that of the last. */
function growth(samples: readonly Sample[], of: (sample: Sample) => number): readonly [number, number] {
  const fifth = Math.floor(samples.length / 5);
  const at = (from: number, to: number): number => median(samples.slice(from, to).map(of));
  return [at(fifth, 2 * fifth), at(4 * fifth, samples.length)];
}

export function judge(seen: Evidence): Row[] {
  const { tally, executions, left, profiles } = seen;
  const most = profiles * seen.mostSessions;
  const highest = most + profiles * (seen.overlap ?? 0);
  const sockets = profiles * socketsAtRest(seen.mostSessions);
  // Connections come and go, and so do the sessions above one, each with its stream.
  const moving = 4 * profiles + most - profiles;
  const ran = (token: string): number => executions.get(token) ?? 0;
  const twice = tally.marked.filter(({ token }) => ran(token) > 1).length;
  const answeredNotRun = tally.marked.filter(
    ({ token, ran: said }) => said === 'once' && ran(token) !== 1,
  ).length;
  const liedNever = tally.marked.filter(({ token, ran: said }) => said === 'never' && ran(token) > 0).length;
  const refused = Object.values(tally.refused).reduce((sum, count) => sum + count, 0);
  const answered = tally.results + refused + tally.cancelled;
  const row = (what: string, found: unknown, wanted: unknown, good = found === wanted): Row => ({
    what,
    found: String(found),
    wanted: String(wanted),
    good,
  });
  const grown = (what: string, of: (sample: Sample) => number, slack: (early: number) => number): Row => {
    const [early, late] = growth(seen.samples, of);
    const most = early + slack(early);
    return row(what, `${early.toFixed(0)} -> ${late.toFixed(0)}`, `<= ${most.toFixed(0)}`, late <= most);
  };
  const peak = Math.max(...seen.samples.map(({ sessions }) => sessions));
  const reasons = Object.entries(tally.refused).map(([reason, count]) => `${reason} ${count}`);
  return [
    row('requests answered or cancelled', answered, tally.requests),
    row('results', tally.results, '> half', tally.results > tally.requests / 2),
    row('errors', reasons.join(', ') || 'none', 'none internal', tally.refused.internal === undefined),
    row('answered twice, or never requested', seen.strays, 0),
    row('never answered', tally.hangs, 0),
    row("answered with another's result", tally.mixedUp.length, 0),
    row('calls that ran twice', twice, 0),
    row('answered, and did not run once', answeredNotRun, 0),
    row('said not to have run, and ran', liedNever, 0),
    row('signatures refused', seen.refusedSignatures, 0),
    ...(seen.questions
      ? [
          row('server requests answered', seen.questions.answered, '> 0', seen.questions.answered > 0),
          row('answers to requests of another session', seen.questions.misrouted, 0),
        ]
      : []),
    row('sessions opened', seen.initializes, '> 1', seen.initializes > 1),
    grown(
      'memory, second to last fifth (MB)',
      ({ rssMb }) => rssMb,
      (early) => Math.max(0, RSS_AT_HOME_MB - early) + RSS_SLACK_MB + early * RSS_SLACK_SHARE,
    ),
    grown(
      'descriptors, second to last fifth',
      ({ descriptors }) => descriptors,
      () => moving,
    ),
    grown(
      'sockets, second to last fifth',
      ({ sockets }) => sockets,
      () => moving,
    ),
    ...(seen.isListener
      ? []
      : [
          row(
            'sessions at most, at rest, after the end',
            [peak, left.sessions, seen.sessionsAfterExit].join(', '),
            `<= ${highest}, 1 to ${most}, 0`,
            peak <= highest && left.sessions >= 1 && left.sessions <= most && seen.sessionsAfterExit === 0,
          ),
        ]),
    row('sockets at rest', left.sockets, `<= ${sockets}`, left.sockets <= sockets),
    row('usable when the faults are over', seen.usable, true),
    row('exit code', seen.exitCode, 0),
    row('stderr', seen.stderr.slice(0, 300) || 'empty', 'empty', seen.stderr === ''),
  ];
}

export function table(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ what }) => what.length));
  return rows
    .map(
      ({ what, found, wanted, good }) =>
        `${good ? 'ok ' : 'BAD'}  ${what.padEnd(width)}  ${found}${good ? '' : `  (wanted ${wanted})`}`,
    )
    .join('\n');
}
