/** The cause of each wait of calls, and what shortens it. */
export const WAIT_REMEDIES: Readonly<Record<string, string>> = {
  queue: 'all places of --max-concurrent are taken: raise it if the server can do more',
  rate: 'a rate limit: --rate-limit, or the rate at which the server throttles',
  session: 'no session had room, or one was being opened: raise --max-sessions',
  connection: 'all connections are busy: raise --max-connections',
  credentials: 'credentials were being resolved: see their provider',
  backoff: 'attempts failed and were repeated: see the recent errors',
};

/** The remedies of errors whose message has none, by reason. */
export const ERROR_REMEDIES: Readonly<Record<string, string>> = {
  overloaded: 'Raise --max-concurrent if the server can do more, or --queue-size so that calls wait.',
  answered: 'The server answered with this error.',
};
