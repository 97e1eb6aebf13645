import { createHash, randomUUID, verify } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { SessionServer } from './mcp-behaviours.ts';
import { type Behaviour, type RecordedRequest, ScriptedServer } from './scripted-server.ts';

/** Checks the signature of a JWT without the library that the proxy uses. */
function verifies(jwt: string, publicKey: string): boolean {
  const [header = '', claims = '', signature = ''] = jwt.split('.');
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
  return verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'));
}

type Answer = (value: unknown, status?: number) => undefined;

/** The meaning of an access or refresh token. */
interface Grant {
  readonly scope: string;
  readonly clientId: string;
}

interface Code extends Grant {
  readonly challenge: string;
  readonly redirectUri: string;
}

/** The behaviour of the authorization server; tests change it while it runs. */
export interface OAuthBehaviour {
  /** Seconds; undefined: the answer has no `expires_in`. */
  expiresIn: number | undefined;
  /** Scopes of the challenge of a 401. */
  scope: string | undefined;
  /** Tools that need a scope. */
  toolScopes: Record<string, string>;
  /** Fields of the authorization server metadata that replace the usual ones. */
  metadata: Record<string, unknown>;
  /** The resource of the protected resource metadata. */
  resource: string | undefined;
  /** Replaces the answer of the token endpoint. */
  token: Behaviour | undefined;
  /** Makes access tokens longer. */
  padding: string;
  /** Clients of the client credentials flow, with their secrets or public keys (PEM). */
  clients: Record<string, string>;
  /** How often the device flow answers `authorization_pending`. */
  devicePolls: number;
  /** The issuer in the authorization response. */
  iss: string | undefined;
}

/**
 * An MCP server that accepts nothing but its own access tokens, and the authorization server that
 * issues them. The page of the login redirects at once.
 */
export class OAuthServer {
  readonly behaviour: OAuthBehaviour = {
    expiresIn: 3600,
    scope: undefined,
    toolScopes: {},
    metadata: {},
    resource: undefined,
    token: undefined,
    padding: '',
    clients: {},
    devicePolls: 0,
    iss: undefined,
  };
  readonly mcp: SessionServer;
  readonly http: ScriptedServer;
  readonly access = new Map<string, Grant>();
  readonly refresh = new Map<string, Grant>();
  /** Refresh tokens that were exchanged; each may be so once. */
  readonly used = new Set<string>();
  /** Refresh tokens that came a second time. */
  readonly reused: string[] = [];
  readonly #codes = new Map<string, Code>();

  private constructor(http: ScriptedServer, mcp: SessionServer) {
    this.http = http;
    this.mcp = mcp;
  }

  static async start(mcp = new SessionServer()) {
    // Tokens of 100 kB are sent in headers.
    const http = await ScriptedServer.start(() => undefined, { maxHeaderSize: 256 * 1024 });
    const server = new OAuthServer(http, mcp);
    http.behaviour = (request, response) => server.#serve(request, response);
    return server;
  }

  get origin(): string {
    return this.http.origin;
  }

  get url(): string {
    return this.http.url;
  }

  /** The grants of the token requests, in their order. */
  get grants(): (string | null)[] {
    return this.tokenRequests.map((body) => body.get('grant_type'));
  }

  /** The bodies of the token requests, in their order. */
  get tokenRequests(): URLSearchParams[] {
    return this.#requestsOf('/token').map(({ text }) => new URLSearchParams(text));
  }

  /** MCP requests with the access token of each. */
  get mcpRequests(): { readonly method: string | undefined; readonly authorization: string | undefined }[] {
    return this.#requestsOf('/mcp').map(({ rpc, headers }) => ({
      method: rpc.method,
      authorization: headers.authorization,
    }));
  }

  /** No access token is accepted any more, as after their expiry. */
  expireTokens(): void {
    this.access.clear();
  }

  #requestsOf(path: string): RecordedRequest[] {
    return this.http.requests.filter(({ url }) => url.split('?', 1)[0] === path);
  }

  async #serve(request: RecordedRequest, response: ServerResponse): Promise<void> {
    const { origin, behaviour } = this;
    const url = new URL(request.url, origin);
    const json: Answer = (value, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    switch (url.pathname) {
      case '/mcp':
        return this.#serveMcp(request, response);
      case '/.well-known/oauth-protected-resource/mcp':
        return json({
          resource: behaviour.resource ?? this.url,
          authorization_servers: [origin],
          scopes_supported: ['mcp'],
        });
      case '/.well-known/oauth-authorization-server':
        return json({
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          registration_endpoint: `${origin}/register`,
          revocation_endpoint: `${origin}/revoke`,
          device_authorization_endpoint: `${origin}/device`,
          response_types_supported: ['code'],
          code_challenge_methods_supported: ['S256'],
          scopes_supported: ['mcp', 'admin', 'offline_access'],
          authorization_response_iss_parameter_supported: true,
          ...behaviour.metadata,
        });
      case '/register':
        return json({ ...(request.json as object), client_id: `client-${randomUUID()}` }, 201);
      case '/authorize':
        return this.#authorize(url.searchParams, response);
      case '/device':
        return json({
          device_code: 'd3vice',
          user_code: 'ABCD-EFGH',
          verification_uri: `${origin}/verify`,
          expires_in: 600,
          interval: 0.01,
        });
      case '/token':
        if (behaviour.token) return behaviour.token(request, response);
        return this.#issue(request, json);
      case '/revoke': {
        const token = new URLSearchParams(request.text).get('token') ?? '';
        this.refresh.delete(token);
        this.access.delete(token);
        response.writeHead(200).end();
        return;
      }
      default:
        response.writeHead(404).end();
    }
  }

  async #serveMcp(request: RecordedRequest, response: ServerResponse): Promise<void> {
    const grant = this.access.get(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '');
    const metadata = `resource_metadata="${this.origin}/.well-known/oauth-protected-resource/mcp"`;
    const refuse = (status: number, error: string | undefined, scope: string | undefined): void => {
      const parts = [error && `error="${error}"`, metadata, scope && `scope="${scope}"`].filter(Boolean);
      response.writeHead(status, { 'www-authenticate': `Bearer ${parts.join(', ')}` }).end();
    };
    if (!grant) return refuse(401, request.headers.authorization && 'invalid_token', this.behaviour.scope);
    const tool = request.rpc.method === 'tools/call' ? String(request.rpc.params?.name) : '';
    const needed = this.behaviour.toolScopes[tool];
    if (needed !== undefined && !grant.scope.split(' ').includes(needed))
      return refuse(403, 'insufficient_scope', needed);
    await this.mcp.behaviour(request, response);
  }

  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const code = randomUUID();
    const redirectUri = query.get('redirect_uri') ?? '';
    this.#codes.set(code, {
      challenge: query.get('code_challenge') ?? '',
      redirectUri,
      clientId: query.get('client_id') ?? '',
      scope: query.get('scope') ?? '',
    });
    const back = new URL(redirectUri);
    back.searchParams.set('code', code);
    back.searchParams.set('state', query.get('state') ?? '');
    back.searchParams.set('iss', this.behaviour.iss ?? this.origin);
    response.writeHead(302, { location: back.href }).end();
  }

  #issue(request: RecordedRequest, json: Answer): undefined {
    const body = new URLSearchParams(request.text);
    const refused = (error: string): undefined =>
      json({ error, error_description: `refused: ${error}` }, 400);
    switch (body.get('grant_type')) {
      case 'authorization_code': {
        const code = this.#codes.get(body.get('code') ?? '');
        this.#codes.delete(body.get('code') ?? '');
        const verifier = createHash('sha256')
          .update(body.get('code_verifier') ?? '')
          .digest('base64url');
        const isRight = code?.challenge === verifier && code.redirectUri === body.get('redirect_uri');
        return code && isRight ? json(this.#tokens(code)) : refused('invalid_grant');
      }
      case 'refresh_token': {
        const token = body.get('refresh_token') ?? '';
        if (this.used.has(token)) this.reused.push(token);
        const grant = this.refresh.get(token);
        if (!grant || this.used.has(token)) return refused('invalid_grant');
        this.used.add(token);
        return json(this.#tokens(grant));
      }
      case 'client_credentials': {
        const assertion = body.get('client_assertion');
        if (assertion !== null) {
          const [, claims = ''] = assertion.split('.');
          const { iss } = JSON.parse(Buffer.from(claims, 'base64url').toString());
          const key = this.behaviour.clients[iss];
          if (!key || !verifies(assertion, key)) return refused('invalid_client');
          return json(this.#clientTokens(iss, body));
        }
        const basic = Buffer.from(request.headers.authorization?.slice('Basic '.length) ?? '', 'base64');
        const [id = '', secret] = basic.toString().split(':');
        if (this.behaviour.clients[id] !== secret || secret === undefined) return refused('invalid_client');
        return json(this.#clientTokens(id, body));
      }
      case 'urn:ietf:params:oauth:grant-type:device_code':
        if (this.behaviour.devicePolls-- > 0) return refused('authorization_pending');
        return json(this.#tokens({ clientId: body.get('client_id') ?? '', scope: 'mcp' }));
      default:
        return refused('unsupported_grant_type');
    }
  }

  #clientTokens(clientId: string, body: URLSearchParams): Record<string, unknown> {
    const { refresh_token: _none, ...tokens } = this.#tokens({ clientId, scope: body.get('scope') ?? '' });
    return tokens;
  }

  #tokens(grant: Grant): Record<string, unknown> {
    const accessToken = `access-${randomUUID()}${this.behaviour.padding}`;
    const refreshToken = `refresh-${randomUUID()}`;
    this.access.set(accessToken, grant);
    this.refresh.set(refreshToken, grant);
    const { expiresIn } = this.behaviour;
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      scope: grant.scope,
      refresh_token: refreshToken,
      ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
    };
  }
}
