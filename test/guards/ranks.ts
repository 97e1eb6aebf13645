/** Imports point down only, type imports included. Entries of one line never import each other. */
export const RANKS: readonly (readonly string[])[] = [
  ['core', 'config', 'version.ts'],
  ['auth'],
  ['endpoint'],
  ['client', 'layers', 'pool', 'observe', 'demo', 'snapshot'],
  ['upstream', 'limits'],
  ['workers'],
  ['config-file.ts'],
  ['settings.ts', 'command-table.ts'],
  ['option-docs.ts', 'program.ts', 'oauth-wiring.ts'],
  ['authorizers.ts', 'limit-wiring.ts'],
  ['wiring.ts'],
  ['client-wiring.ts', 'cloudwatch-wiring.ts', 'describe-proxy.ts', 'layer-wiring.ts'],
  ['http-clients.ts'],
  ['proxy.ts', 'listener-wiring.ts'],
  ['identity-proxies.ts'],
  ['library'],
  ['commands'],
  ['cli.ts', 'start.ts'],
];

/** The same within a folder, from the bottom up. */
export const FOLDER_RANKS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  core: [['errors', 'system'], ['jsonrpc', 'time'], ['pipeline'], ['tools'], ['http']],
  client: [
    ['deadline.ts', 'heartbeat.ts', 'options.ts', 'rescue.ts', 'time-limit.ts'],
    ['stdio', 'http'],
  ],
  upstream: [
    ['http'],
    ['transport'],
    ['stream'],
    ['exchange', 'sse-2024'],
    ['session', 'stateless', 'passthrough'],
    ['upstream.ts', 'options.ts'],
  ],
};
