import { generateKeyPairSync } from 'node:crypto';

/** What `aws login` leaves in its cache. */
export function loginToken(accessKeyId: string, expiresAt: string): Record<string, unknown> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    accessToken: {
      accessKeyId,
      secretAccessKey: 'login-secret',
      sessionToken: 'login-token',
      accountId: '123456789012',
      expiresAt,
    },
    tokenType: 'urn:aws:params:oauth:token-type:access_token_sigv4',
    clientId: 'arn:aws:signin:::devtools/same-device',
    refreshToken: 'the-refresh-token',
    idToken: 'id-token',
    dpopKey: privateKey.export({ type: 'sec1', format: 'pem' }),
  };
}

/** One at its end, so that the sign-in service has to renew it. */
export const expiringLogin = (): Record<string, unknown> =>
  loginToken('AKIDOLD', new Date(Date.now() + 60_000).toISOString());
