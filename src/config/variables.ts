/**
 * The environment variables that the proxy reads beside those of its options: its own code, the AWS
 * SDK's credential providers, and the connections. One list, because what is checked, what
 * --env-file may set and what `config` copies must not differ.
 */

const NETWORK = 'SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY';

/**
 * Where a value is a name, a path, an address or a switch. A URL among them may hold a password.
 */
const AWS_SETTINGS = [
  'REGION|DEFAULT_REGION|CONFIG_FILE|SHARED_CREDENTIALS_FILE|LOGIN_CACHE_DIRECTORY|CA_BUNDLE',
  'ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE|EC2_METADATA_DISABLED',
  'USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT|IGNORE_CONFIGURED_ENDPOINT_URLS|ENDPOINT_URL(?:_[A-Z0-9_]+)?',
].join('|');

/**
 * Keys, and what hands out keys on the machine that the proxy runs on: of no use on another one.
 */
const AWS_SOURCES = [
  'PROFILE|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CREDENTIAL_EXPIRATION|CREDENTIAL_SCOPE|ACCOUNT_ID',
  'CONTAINER_CREDENTIALS_(?:RELATIVE|FULL)_URI|CONTAINER_AUTHORIZATION_TOKEN(?:_FILE)?',
  'EC2_METADATA_(?:SERVICE_ENDPOINT(?:_MODE)?|V1_DISABLED)|EC2_INSTANCE_PROFILE_NAME',
  'DEFAULTS_MODE|RETRY_MODE|MAX_ATTEMPTS|SDK_UA_APP_ID|STS_REGIONAL_ENDPOINTS',
].join('|');

const READ = new RegExp(`^(?:AWS_(?:${AWS_SETTINGS}|${AWS_SOURCES})|${NETWORK})$`);
const PORTABLE = new RegExp(`^(?:AWS_(?:${AWS_SETTINGS})|${NETWORK})$`);

/** True for every variable that is no option's and that the proxy reads all the same. */
export const isRead = (variable: string): boolean => READ.test(variable);

/**
 * True for those that mean the same when another program starts the proxy, and that are neither
 * keys nor a profile.
 */
export const isPortable = (variable: string): boolean => PORTABLE.test(variable);
