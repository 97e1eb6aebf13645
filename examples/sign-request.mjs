// Signs one MCP request with credentials from the AWS chain and sends it with fetch.
// Usage: node sign-request.mjs <url> [service] [region]; AWS_PROFILE chooses the profile.
import {
  createCredentialProvider,
  Events,
  scopeOfHost,
  signingTarget,
  signRequest,
  systemClock,
} from 'mcp-sigv4-proxy';

const [endpoint, service, region] = process.argv.slice(2);
const url = new URL(endpoint);
const known = scopeOfHost(url.hostname);
const scope = { service: service ?? known.service, region: region ?? known.region };
if (!scope.service || !scope.region) throw new Error(`the host ${url.hostname} needs a service and a region`);

const credentials = createCredentialProvider({
  profile: undefined,
  fallbackRegion: scope.region,
  env: process.env,
  clock: systemClock,
  events: new Events(),
});
const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'ping' }));
const keys = await credentials.current(AbortSignal.timeout(30_000));
const signable = { method: 'POST', target: signingTarget(url), contentType: 'application/json', body };
const headers = signRequest(signable, keys, scope, new Date());

const accept = 'application/json, text/event-stream';
const response = await fetch(url, { method: 'POST', headers: { ...headers, accept }, body });
console.log(response.status, await response.text());
credentials.close();
