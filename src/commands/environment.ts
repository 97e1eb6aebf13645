/**
 * Variables that the proxy, or the AWS chain below it, listens to. Clients start servers with HOME, PATH and little else, so
 * that these are the ones that are there in a shell and missing in a client. None is secret; a URL among them may hold a
 * password. Those that name a profile or an endpoint are options of the proxy, and not repeated here.
 */
const HEEDED =
  /^(AWS_(REGION|DEFAULT_REGION|CONFIG_FILE|SHARED_CREDENTIALS_FILE|LOGIN_CACHE_DIRECTORY|CA_BUNDLE|ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE|EC2_METADATA_DISABLED|USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT|IGNORE_CONFIGURED_ENDPOINT_URLS|ENDPOINT_URL(_[A-Z0-9_]+)?)|SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY)$/;

/** Those of them that are set. */
export const heededVariables = (env: NodeJS.ProcessEnv): [name: string, value: string][] =>
  Object.entries(env).flatMap(([name, value]) => (HEEDED.test(name) && value ? [[name, value]] : []));

/** True where the value is a path, which means something else in another folder. */
export const namesFile = (variable: string): boolean => /_(FILE|BUNDLE|CERTS|DIRECTORY)$/.test(variable);
