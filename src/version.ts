/** Equal to package.json's; a guard test compares the two. */
export const VERSION = '0.1.0';

/** The name on npm, equal to package.json's; the command keeps its own name. */
export const PACKAGE_NAME = 'mcp-sigv4-proxy';

/** Equal to that of package.json; `scripts/set-address.mjs` changes it everywhere. */
export const REPOSITORY = 'https://github.com/mcp-sigv4-proxy/mcp-sigv4-proxy';
