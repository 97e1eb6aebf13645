import { login, type StoredLoginFacts } from '../../auth/oauth/login.ts';
import type { OAuthSettings } from '../../auth/oauth/oauth-settings.ts';
import { causeText } from '../../core/errors/errors.ts';
import { systemClock } from '../../core/time/clock.ts';
import { loginStoreOf } from '../../oauth-wiring.ts';
import type { CommandContext } from '../command.ts';
import { EXIT_FAILED } from '../exit-codes.ts';
import { fail } from '../failure.ts';
import type { Output } from '../output.ts';
import { openBrowser } from './browser.ts';
import { withOAuth } from './with-oauth.ts';

/** Logs in to the server of `--auth oauth` in a browser, and stores the tokens. */
export function runOAuthLogin(context: CommandContext): Promise<number> {
  const { stdout, stderr, signal } = context;
  return withOAuth(context, async (settings, loadDeps) => {
    const { host } = settings.endpoint;
    if (settings.flow === 'client-credentials') {
      stdout.write(`${host} needs no login: --oauth-flow client-credentials obtains tokens by itself.\n`);
      return 0;
    }
    const store = loginStoreOf(settings, systemClock);
    try {
      const facts = await login({
        deps: await loadDeps(),
        store,
        clock: systemClock,
        signal,
        onPage: ({ url, redirectUrl }) => void showPage(stderr, settings, url, redirectUrl),
        onDevice: ({ userCode, verificationUri, completeUri }) => {
          stderr.write(`Open ${verificationUri} on any device, and enter the code ${userCode}\n`);
          void openBrowser(completeUri ?? verificationUri, settings.env);
        },
      });
      stdout.write(`${factsText(host, facts, store.path)}\n`);
      return 0;
    } catch (error) {
      if (signal.aborted) return EXIT_FAILED;
      const message = `The login at ${host} failed: ${causeText(error)}.`;
      return fail(context, { code: null, reason: 'login-failed', message });
    }
  });
}

async function showPage(
  stderr: Output,
  { env }: OAuthSettings,
  url: string,
  redirectUrl: string,
): Promise<void> {
  const opened = await openBrowser(url, env);
  const { port } = new URL(redirectUrl);
  stderr.write(
    opened
      ? `Log in in the browser that has opened. If none has, open this URL: ${url}\n`
      : `Open this URL in a browser of this machine: ${url}\n`,
  );
  if (!opened)
    stderr.note(`From another machine, forward the port first: ssh -L ${port}:127.0.0.1:${port} <host>\n`);
}

function factsText(
  host: string,
  { issuer, scope, expiresAt, isRenewable, place }: StoredLoginFacts,
  path: string,
): string {
  const scopes = scope === undefined ? '' : `, scope ${scope}`;
  const end = expiresAt === undefined ? '' : `, until ${new Date(expiresAt).toISOString()}`;
  const renewal = isRenewable ? ', renewed automatically' : end;
  const where = place === 'keychain' ? 'the keychain' : path;
  return `Logged in to ${host} by ${issuer}${scopes}${renewal}. The tokens are in ${where}.`;
}
