/** How requests are authenticated: the value of `--auth`. */
export type AuthKind = 'sigv4' | 'sigv4a' | 'oauth' | 'bearer' | 'auto' | 'none';

/** True for the kinds that sign each request with AWS credentials, and need a signing scope. */
export const signsWithAws = (kind: string): boolean => kind === 'sigv4' || kind === 'sigv4a';

/** True where AWS credentials may sign requests: `auto` decides it with the first refusal. */
export const maySignWithAws = (kind: string): boolean => signsWithAws(kind) || kind === 'auto';

/** True for the kinds that set the authorization header, which `--header` must not set then. */
export const setsAuthorization = (kind: string): boolean => kind !== 'none';
