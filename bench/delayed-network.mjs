// A TCP relay that makes loopback as slow as a real network: every byte takes half a round trip, and a new connection a whole one
// more, for TCP's own handshake.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * @param {number} port - of the server on loopback.
 * @param {number} roundTripMs
 * @returns the port of the relay, the connections that it has seen, and its end.
 */
export async function startDelayedNetwork(port, roundTripMs) {
  let connections = 0;
  const sockets = new Set();
  const relay = createServer({ noDelay: true }, (client) => {
    connections++;
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    const open = performance.now() + roundTripMs;
    pass(client, upstream, roundTripMs / 2, open);
    pass(upstream, client, roundTripMs / 2, 0);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return {
    port: relay.address().port,
    connections: () => connections,
    close: () => {
      for (const socket of sockets) socket.destroy();
      relay.close();
    },
  };
}

/** Timers of one length fire in the order in which they were set: the bytes keep theirs. */
function pass(from, to, ms, notBefore) {
  const later = (act) => {
    const wait = Math.max(ms, notBefore + ms - performance.now());
    if (wait === 0) act();
    else setTimeout(act, wait);
  };
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('close', () => later(() => to.destroy()));
}
