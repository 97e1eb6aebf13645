import type { VerifyOptions } from './scripted-server.ts';

/** Throw-away credentials, with the settings of a verifier that knows them. */
export const TEST_KEY = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: 'EXAMPLE-SESSION-TOKEN',
} as const;

/** The environment in which the bin signs as `TEST_KEY`. */
export const signingEnv: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId,
  AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey,
  AWS_SESSION_TOKEN: TEST_KEY.sessionToken,
};

/** The flags that the bin needs, because a loopback address names neither service nor region. */
export const signingArgs: readonly string[] = ['--service', 'execute-api', '--region', 'eu-west-1'];

/** The `verify` option of the servers, matching `signingEnv` and `signingArgs`. */
export const signingVerify: VerifyOptions = {
  service: 'execute-api',
  region: 'eu-west-1',
  keys: { [TEST_KEY.accessKeyId]: TEST_KEY },
};
