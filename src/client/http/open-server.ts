import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { isPipe, type ListenAddress, type SocketAddress } from '../../core/http/listen-address.ts';

/** Connections that the system may accept before others are closed to make room. */
export const BACKLOG = 511;
/** Only the owner of the process may connect: the socket needs no token. */
export const SOCKET_MASK = 0o177;

/** Runs `listen` so that the socket that it creates is private to the user. */
export type ListenPrivately = (listen: () => void) => void;

/**
 * Listens on an address. A unix socket has the mode 0600 from its first moment, and replaces one
 * that a process has left behind.
 * @param privately - for a process in whose place another one creates the socket.
 * @throws the error of the operating system, where the address cannot be listened on.
 */
export async function openServer(
  server: Server,
  address: ListenAddress | SocketAddress,
  privately: ListenPrivately = withSocketMask,
): Promise<void> {
  if (!('socketPath' in address)) {
    await listening(server, () => server.listen(address.port, address.host, BACKLOG));
    return;
  }
  const { socketPath } = address;
  const listen = (): void => privately(() => server.listen(socketPath, BACKLOG));
  try {
    await listening(server, listen);
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    if (!isTaken || !(await removeStale(socketPath))) throw error;
    await listening(server, listen);
  }
}

/** The system creates the socket during `listen`, so that no other file gets this mask. */
function withSocketMask(listen: () => void): void {
  const mask = process.umask(SOCKET_MASK);
  try {
    listen();
  } finally {
    process.umask(mask);
  }
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      server.off('listening', onListening);
      reject(error);
    };
    const onListening = (): void => {
      server.off('error', onError);
      resolve();
    };
    server.once('error', onError);
    server.once('listening', onListening);
    listen();
  });
}

/**
 * Removes a unix socket without a listener.
 * @returns false where it has a listener, or the path is no unix socket.
 */
export async function removeStale(path: string): Promise<boolean> {
  if (isPipe(path)) return false;
  const before = lstatSync(path, { throwIfNoEntry: false });
  if (!before) return true;
  if (!before.isSocket() || !(await refusesConnections(path))) return false;
  // Another process may have replaced it meanwhile.
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now && (now.ino !== before.ino || now.ctimeMs !== before.ctimeMs)) return false;
  if (now) unlinkSync(path);
  return true;
}

/** Only ECONNREFUSED proves it: any other error, such as a full backlog, has a listener. */
function refusesConnections(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: Error & { code?: string }) => resolve(error.code === 'ECONNREFUSED'));
  });
}
