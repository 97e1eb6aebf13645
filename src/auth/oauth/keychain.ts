import type { Entry as EntryClass } from '@napi-rs/keyring';

/** The name of the entries in the keychain. */
const SERVICE = 'mcp-sigv4-proxy';

/**
 * The keychain of the operating system: macOS Keychain, Windows Credential Manager, Secret Service.
 */
export interface Keychain {
  get(account: string): string | undefined;
  /** @throws Error where the keychain is locked, absent, or refuses so long a text. */
  set(account: string, secret: string): void;
  delete(account: string): void;
}

/**
 * Opens the keychain; undefined if the optional package @napi-rs/keyring is not installed. Its
 * native code is loaded only here.
 */
export async function openKeychain(): Promise<Keychain | undefined> {
  let Entry: typeof EntryClass;
  try {
    ({ Entry } = await import('@napi-rs/keyring'));
  } catch {
    return undefined;
  }
  // Not the keyring of the Linux kernel: it forgets everything at the end of the login session.
  const options = { linux: { store: 'secret-service' } } as const;
  const entry = (account: string): EntryClass => new Entry(SERVICE, account, options);
  return {
    get: (account) => entry(account).getPassword() ?? undefined,
    set: (account, secret) => entry(account).setPassword(secret),
    delete: (account) => {
      entry(account).deletePassword();
    },
  };
}
