export interface ListenAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * `host:port`, an IPv6 address in brackets; port 0 takes any that is free. Undefined where it is
 * none. Pure.
 */
export function readAddress(value: string): ListenAddress | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]@]+)):(\d{1,5})$/i.exec(value) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host: host.toLowerCase(), port };
}
