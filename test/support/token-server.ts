import { sendJson } from './mcp-answers.ts';
import type { Behaviour } from './scripted-server.ts';

/** A server that accepts the bearer tokens of a set, and nothing else. */
export interface TokenGate {
  /** Tokens that the server accepts; a test may change them. */
  readonly accepted: Set<string>;
  readonly before: (next: Behaviour) => Behaviour;
}

/** @param challenge - the WWW-Authenticate header of a 401. */
export function tokenGate(tokens: readonly string[], challenge = 'Bearer error="invalid_token"'): TokenGate {
  const accepted = new Set(tokens);
  return {
    accepted,
    before: (next) => (request, response) => {
      const [, token = ''] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
      if (accepted.has(token)) return next(request, response);
      response.setHeader('www-authenticate', challenge);
      sendJson(response, 401, { error: 'invalid_token' });
    },
  };
}
