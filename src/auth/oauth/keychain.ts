import type { AsyncEntry as EntryClass } from '@napi-rs/keyring';
import type { Clock } from '../../core/time/clock.ts';
import { abortable, withTimeout } from '../../core/time/waits.ts';

/** The name of the entries in the keychain. */
const SERVICE = 'mcp-sigv4-proxy';
/**
 * Time for the user to unlock the keychain. It is shorter than the time limit of a renewal.
 */
const MAX_KEYCHAIN_MS = 20_000;

/**
 * The keychain of the operating system: macOS Keychain, Windows Credential Manager, Secret Service.
 * Every function rejects where the keychain is locked, absent, or does not answer.
 */
export interface Keychain {
  get(account: string): Promise<string | undefined>;
  /** Also rejects if the text is too long for the keychain. */
  set(account: string, secret: string): Promise<void>;
  delete(account: string): Promise<void>;
}

/**
 * Opens the keychain; undefined if the optional package @napi-rs/keyring is not installed. Its
 * native code is loaded only here. Its asynchronous functions do not block the event loop while the
 * user is prompted.
 */
export async function openKeychain(clock: Clock): Promise<Keychain | undefined> {
  let Entry: typeof EntryClass;
  try {
    ({ AsyncEntry: Entry } = await import('@napi-rs/keyring'));
  } catch {
    return undefined;
  }
  // Not the kernel keyring, because it loses everything at the end of the login session.
  const options = { linux: { store: 'secret-service' } } as const;
  const within = <T>(account: string, use: (entry: EntryClass) => Promise<T>): Promise<T> =>
    withTimeout(clock, MAX_KEYCHAIN_MS, (signal) =>
      abortable(use(new Entry(SERVICE, account, options)), signal),
    );
  return {
    get: async (account) => (await within(account, (entry) => entry.getPassword())) ?? undefined,
    set: (account, secret) => within(account, (entry) => entry.setPassword(secret)),
    delete: async (account) => {
      await within(account, (entry) => entry.deletePassword());
    },
  };
}
