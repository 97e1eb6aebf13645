/** The part of `oidc-provider`, which has no types of its own, that the tests use. */
declare module 'oidc-provider' {
  import type { EventEmitter } from 'node:events';
  import type { RequestListener } from 'node:http';

  export class Provider extends EventEmitter {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: {
      find(
        token: string,
      ): Promise<{ readonly aud: string; readonly scopes: ReadonlySet<string> } | undefined>;
    };
    callback(): RequestListener;
  }
}
