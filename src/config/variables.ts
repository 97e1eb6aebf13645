/**
 * Environment variables that the proxy or the AWS SDK reads, other than those of options. One list
 * serves the checks, --env-file and `config`, so that the three agree.
 */

const NETWORK = 'SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY';

/** Variables with a name, path, address or switch. A URL may hold a password. */
const AWS_SETTINGS = [
  'REGION|DEFAULT_REGION|CONFIG_FILE|SHARED_CREDENTIALS_FILE|LOGIN_CACHE_DIRECTORY|CA_BUNDLE',
  'ROLE_ARN|ROLE_SESSION_NAME|WEB_IDENTITY_TOKEN_FILE|EC2_METADATA_DISABLED',
  'USE_FIPS_ENDPOINT|USE_DUALSTACK_ENDPOINT|IGNORE_CONFIGURED_ENDPOINT_URLS|ENDPOINT_URL(?:_[A-Z0-9_]+)?',
].join('|');

/** Credentials, and their sources on this machine: useless on another machine. */
const AWS_SOURCES = [
  'PROFILE|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|CREDENTIAL_EXPIRATION|CREDENTIAL_SCOPE|ACCOUNT_ID',
  'CONTAINER_CREDENTIALS_(?:RELATIVE|FULL)_URI|CONTAINER_AUTHORIZATION_TOKEN(?:_FILE)?',
  'EC2_METADATA_(?:SERVICE_ENDPOINT(?:_MODE)?|V1_DISABLED)|EC2_INSTANCE_PROFILE_NAME',
  'DEFAULTS_MODE|RETRY_MODE|MAX_ATTEMPTS|SDK_UA_APP_ID|STS_REGIONAL_ENDPOINTS',
].join('|');

/** Of OpenTelemetry: its exporters read most of them. Headers may hold a token. */
const TELEMETRY = 'OTEL_[A-Z0-9_]+';

const READ = new RegExp(`^(?:AWS_(?:${AWS_SETTINGS}|${AWS_SOURCES})|${NETWORK}|${TELEMETRY})$`);
const PORTABLE = new RegExp(`^(?:AWS_(?:${AWS_SETTINGS})|${NETWORK})$`);

/** Read as well, but not from --env-file: the folders of snapshots and configuration file. */
const READ_FROM_ENVIRONMENT = /^XDG_(?:CACHE|CONFIG)_HOME$/;

/** True for variables whose values are checked although no option declares them. */
export const isCheckedVariable = (variable: string): boolean =>
  isReadVariable(variable) || READ_FROM_ENVIRONMENT.test(variable);

/** True for variables that the proxy reads although no option declares them. */
export const isReadVariable = (variable: string): boolean => READ.test(variable);

/**
 * True for variables with the same meaning wherever the proxy starts; no credentials, no profile.
 */
export const isPortableVariable = (variable: string): boolean => PORTABLE.test(variable);
