import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Connections } from './connections.ts';

const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/**
 * Passes each connection on when its handshake is complete. Until then it counts as a connection
 * without an admitted request: unfinished handshakes must not keep others out.
 */
export function acceptTls(
  server: Server,
  connections: Connections,
  onSecure: (socket: Socket) => void,
  { onHandshakeFailed }: { readonly onHandshakeFailed?: (address: string, cause: string) => void },
): void {
  const handshaking = new Map<string, Socket>();
  /**
   * The cause of the last failed handshake; its socket, which closes next, knows the address only.
   */
  let cause = '';
  server.on('connection', (socket: Socket) => {
    const key = keyOf(socket);
    const { remoteAddress } = socket;
    handshaking.set(key, socket);
    connections.add(socket, remoteAddress);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      connections.remove(socket);
      if (handshaking.get(key) !== socket) return;
      handshaking.delete(key);
      onHandshakeFailed?.(remoteAddress ?? '', cause || 'closed before the handshake was complete');
      cause = '';
    });
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const key = keyOf(socket);
    const raw = handshaking.get(key);
    handshaking.delete(key);
    if (raw) connections.remove(raw);
    onSecure(socket);
  });
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    cause = error.message;
    socket.destroy();
  });
}
