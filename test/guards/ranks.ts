/** Imports go down only, type imports included; what stands on one line never imports each other. */
export const RANKS: readonly (readonly string[])[] = [
  ['core', 'version.ts'],
  ['layers', 'pool', 'aws', 'front', 'observe', 'relay', 'demo', 'snapshot'],
  ['upstream'],
  ['settings.ts', 'command-words.ts'],
  ['manual.ts'],
  ['parts.ts'],
  ['proxy.ts'],
  ['index.ts'],
  ['commands'],
  ['cli.ts', 'start.ts'],
];

/** The same within upstream, from the socket up. */
export const UPSTREAM_RANKS: readonly (readonly string[])[] = [
  ['http'],
  ['uplink'],
  ['stream'],
  ['exchange'],
  ['session', 'stateless', 'passage'],
  ['upstream.ts', 'options.ts'],
];
