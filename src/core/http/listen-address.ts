/** A TCP address to listen on. */
export interface ListenAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A unix socket, or on Windows a named pipe, to listen on. */
export interface SocketAddress {
  readonly socketPath: string;
}

/**
 * Reads `host:port`, an IPv6 address in brackets; port 0 takes any that is free. Returns undefined
 * for any other text. Pure.
 */
export function readAddress(value: string): ListenAddress | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]@]+)):(\d{1,5})$/i.exec(value) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host: host.toLowerCase(), port };
}

/** The host as URLs and Host headers contain it: an IPv6 address in brackets. Pure. */
export const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** The operating systems allow 103 to 107 bytes, and cut a longer path without an error. */
const MAX_SOCKET_PATH_BYTES = 103;

/** A name in the namespace of pipes, which has no folders. */
const PIPE = /^\\\\[.?]\\pipe\\[^\\/\0\r\n]{1,240}$/i;

/** True for a named pipe of Windows. It ends with its process, and leaves no file. Pure. */
export const isPipe = (socketPath: string): boolean => PIPE.test(socketPath);

/**
 * Reads `unix:/path`, and on Windows `\\.\pipe\name`; returns undefined for any other text. Pure.
 */
export function readSocketAddress(
  value: string,
  platform: NodeJS.Platform = process.platform,
): SocketAddress | undefined {
  // Node listens on no unix socket there.
  if (platform === 'win32') return isPipe(value) ? { socketPath: value } : undefined;
  const [, socketPath] = /^unix:(\/[^\0\r\n]*[^/\0\r\n])$/.exec(value) ?? [];
  return socketPath === undefined || Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES
    ? undefined
    : { socketPath };
}
