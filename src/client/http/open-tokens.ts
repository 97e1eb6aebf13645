import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ListenerSettings } from './options.ts';
import { Tokens } from './tokens.ts';

/**
 * The tokens of a listener, whose events tell the log what to redact.
 * @throws Error where their file cannot be used.
 */
export async function openTokens(
  { tokens: fixed, tokenFile: file }: Pick<ListenerSettings, 'tokens' | 'tokenFile'>,
  { clock, events }: { readonly clock: Clock; readonly events: Events },
): Promise<Tokens> {
  const tokens = new Tokens({
    fixed,
    file,
    clock,
    onTokens: (known) => {
      for (const { secret: value } of known) events.emit({ type: 'secret.known', value });
      const names = [...new Set(known.map(({ name }) => name))];
      if (file !== undefined) events.emit({ type: 'listener.tokens-read', names });
    },
    onUnusable: (reason) =>
      events.emit({
        type: 'listener.tokens-unusable',
        message: `The file of --listen-token-file cannot be used: ${reason}. The tokens read before stay valid.`,
      }),
  });
  await tokens.open();
  return tokens;
}
