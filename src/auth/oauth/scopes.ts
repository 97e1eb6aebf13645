/** The inputs of the choice of a scope; texts contain scopes separated by blanks. */
export interface RequestedScopes {
  /** `--oauth-scope`. */
  readonly configured: readonly string[];
  /** The scope of the server's challenge. */
  readonly challenged: string | undefined;
  /** The scope of the login that lacks a permission. A step-up requests it again. */
  readonly granted: string | undefined;
  /** From the protected resource metadata. */
  readonly supported: readonly string[] | undefined;
  /** The scopes that the authorization server knows. */
  readonly known: readonly string[] | undefined;
  /** False for the client credentials flow, which has no refresh tokens. */
  readonly refreshes: boolean;
}

/** The scope that some authorization servers require for refresh tokens (OpenID Connect). */
const OFFLINE = 'offline_access';

/**
 * The scope of an authorization request, in the order of the MCP specification: the challenge, then
 * the metadata. Undefined: the authorization server decides. Pure.
 */
export function chooseScope(sources: RequestedScopes): string | undefined {
  const { configured, challenged, granted, supported, known, refreshes } = sources;
  const named = scopeUnion(configured.join(' '), granted, challenged);
  const scope = named ?? scopeUnion(supported?.join(' '));
  return scope !== undefined && refreshes && known?.includes(OFFLINE) ? scopeUnion(scope, OFFLINE) : scope;
}

/** The scopes of all texts, each once, in their order; undefined if there are none. */
export function scopeUnion(...texts: readonly (string | undefined)[]): string | undefined {
  const scopes = new Set(texts.flatMap(scopesIn));
  return scopes.size === 0 ? undefined : [...scopes].join(' ');
}

/** True if `granted` contains each scope of `wanted`. */
export function coversScope(granted: string | undefined, wanted: string | undefined): boolean {
  const has = new Set(scopesIn(granted));
  return scopesIn(wanted).every((scope) => has.has(scope));
}

const scopesIn = (text: string | undefined): string[] =>
  text?.split(/\s+/).filter((scope) => scope !== '') ?? [];
