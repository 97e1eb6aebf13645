import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { addressLimit, Connections, groupKey, MAX_UNADMITTED } from '../../../src/client/http/connections.ts';

/** Connections by name; the class never looks into a socket. */
function rig(maxClients: number, maxClientsPerAddress?: number) {
  const closed: string[] = [];
  const busy = new Set<string>();
  const names = new Map<Socket, string>();
  const sockets = new Map<string, Socket>();
  const nameOf = (socket: Socket): string => names.get(socket) ?? '';
  const connections = new Connections(
    { maxClients, maxClientsPerAddress },
    (socket) => !busy.has(nameOf(socket)),
    (socket) => closed.push(nameOf(socket)),
  );
  const socketOf = (name: string): Socket => {
    const found = sockets.get(name) ?? ({} as Socket);
    sockets.set(name, found);
    names.set(found, name);
    return found;
  };
  return {
    connections,
    closed,
    busy,
    add: (name: string, address = '127.0.0.1') => connections.add(socketOf(name), address),
    admit: (name: string) => connections.admit(socketOf(name)),
    remove: (name: string) => connections.remove(socketOf(name)),
  };
}

describe('connections without an admitted request', () => {
  it('connections without an admitted request are closed at the limit, the oldest first, never the last few', () => {
    const { add, admit, closed, busy } = rig(2);
    for (const name of ['client-1', 'client-2']) {
      add(name);
      busy.add(name);
      expect(admit(name)).toBeUndefined();
    }
    for (let count = 1; count <= MAX_UNADMITTED + 2; count++) add(`stranger-${count}`);
    expect(closed).toEqual(['stranger-1', 'stranger-2']);
  });

  it('connections without an admitted request may use all room that clients leave', () => {
    const { add, closed } = rig(200);
    for (let count = 0; count < 200; count++) add(`early-${count}`);
    expect(closed).toEqual([]);
    add('one more');
    expect(closed).toEqual(['early-0']);
  });

  it('connections of an address at its limit are closed before those of others', () => {
    const { add, closed } = rig(100, 10);
    add('other', '10.0.0.1');
    for (let count = 1; count <= 12; count++) add(`many-${count}`, '10.0.0.2');
    expect(closed).toEqual(['many-1', 'many-2']);
  });
});

describe('a client beyond the limit', () => {
  it('a client beyond the limit replaces the oldest idle one, or is refused', () => {
    const { add, admit, closed, busy } = rig(2);
    for (const name of ['a', 'b', 'c', 'd']) add(name);
    expect([admit('a'), admit('b')]).toEqual([undefined, undefined]);
    busy.add('a');
    expect(admit('c')).toBeUndefined();
    expect(closed).toEqual(['b']);
    busy.add('c');
    expect(admit('d')).toBe('clients');
    expect(admit('a')).toBeUndefined();
  });

  it('a client beyond the limit of its address is refused, and takes no place of another address', () => {
    const { add, admit, closed, busy, remove } = rig(10, 1);
    add('a', '10.0.0.1');
    add('b', '10.0.0.2');
    add('c', '10.0.0.2');
    expect([admit('a'), admit('b')]).toEqual([undefined, undefined]);
    busy.add('b');
    expect(admit('c')).toBe('address');
    remove('b');
    expect(admit('c')).toBeUndefined();
    expect(closed).toEqual([]);
  });
});

describe('an address', () => {
  it.each([
    ['127.0.0.1', undefined, Number.POSITIVE_INFINITY],
    ['::1', undefined, Number.POSITIVE_INFINITY],
    ['10.0.0.1', undefined, 75],
    ['10.0.0.1', 3, 3],
    ['127.0.0.1', 3, 3],
    ['10.0.0.1', 1_000, Number.POSITIVE_INFINITY],
  ])(
    'the address %s with the option at %s may have %s of 100 connections',
    (address, maxClientsPerAddress, limit) => {
      expect(addressLimit(address, { maxClients: 100, maxClientsPerAddress })).toBe(limit);
    },
  );

  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('the address %s counts as %s', (address, key) => {
    expect(groupKey(address)).toBe(key);
  });
});
