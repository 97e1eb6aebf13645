/**
 * Unique to this process and fixed for its life: the process id, and the moment it started for when
 * ids repeat.
 */
const OWN_NAME = `mcp-sigv4-proxy-${process.pid}-${Math.round(performance.timeOrigin).toString(36)}`;

/** What STS takes: at most 64 of these characters. */
const MAX_NAME = 64;
const FOREIGN_CHARACTERS = /[^\w+=,.@-]/g;

/**
 * The session name for roles whose profile gives none. One name for the life of the process,
 * because an MCP server may bind its session to the caller's user id, which ends in this name: a
 * new name would make the next refresh a stranger.
 */
export function roleSessionName(env: NodeJS.ProcessEnv): string {
  const name = env.AWS_ROLE_SESSION_NAME?.replace(FOREIGN_CHARACTERS, '-').slice(0, MAX_NAME);
  return name && name.length > 1 ? name : OWN_NAME;
}
