/** The names of what commands show about credentials: one name for each thing. */

const PROVIDERS: Readonly<{ [providerName: string]: string }> = {
  static: 'the shared files',
  process: 'credential_process',
  sso: 'SSO',
  login: 'aws login',
  'web-identity': 'a web identity token',
  environment: 'the environment',
  container: 'the container',
  instance: 'the instance',
  'assume-role': 'an assumed role',
};

/** The provider that credentials come from. */
export const providerText = (providerName: string): string => PROVIDERS[providerName] ?? 'the AWS chain';

/** The profile's name for a message; "" is the default chain. */
export const profileText = (profile: string): string =>
  profile === '' ? 'the default chain' : `profile '${profile}'`;
