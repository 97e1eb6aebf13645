// Measures what the listener spends on the access token of a request: the first one with a token,
// with the issuer's keys in memory, and the next ones. Prints microseconds.
//   node bench/token-verification.mjs
import { build } from 'esbuild';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';

const FIRST = 2_000;
const NEXT = 100_000;
const ISSUER = 'https://auth.example';

const { outputFiles } = await build({
  entryPoints: ['src/client/http/users/token-verifier.ts'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  write: false,
});
const source = Buffer.from(outputFiles[0].contents).toString('base64');
const { TokenVerifier } = await import(`data:text/javascript;base64,${source}`);

async function measure(alg) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg, use: 'sig' }] });
  const verifier = new TokenVerifier({
    issuer: ISSUER,
    audiences: ['mcp'],
    scopes: ['mcp'],
    keys: { current: () => keys, renewed: async () => undefined },
    clock: { now: () => Date.now() },
  });
  const sign = (subject) =>
    new SignJWT({ scope: 'mcp' })
      .setProtectedHeader({ alg, kid: 'k', typ: 'at+jwt' })
      .setIssuer(ISSUER)
      .setAudience('mcp')
      .setSubject(subject)
      .setExpirationTime('1h')
      .sign(privateKey);
  const tokens = [];
  for (let at = 0; at < FIRST + 500; at++) tokens.push(await sign(`user-${at}`));
  const verify = async (token) => {
    const found = await verifier.verify(token);
    if (found.problem) throw new Error(found.message);
  };
  for (const token of tokens.splice(0, 500)) await verify(token);
  const first = await timed(FIRST, (at) => verify(tokens[at]));
  const next = await timed(NEXT, () => void verifier.verify(tokens[0]));
  return { alg, 'first request, us': first, 'next ones, us': next };
}

async function timed(count, work) {
  const since = performance.now();
  for (let at = 0; at < count; at++) await work(at);
  return Math.round(((performance.now() - since) / count) * 1e4) / 10;
}

const rows = [];
for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) rows.push(await measure(alg));
console.table(rows);
