/** The replacements for members of an MCP SDK transport. */
export interface TransportWrap<Send, OnMessage extends (...args: never[]) => void> {
  readonly send: Send;
  /** Returns the callback that is called in place of the given one. */
  readonly onmessage: (given: OnMessage) => OnMessage;
  /** Called before the callback of the client or server. */
  readonly closing: () => void;
}

/**
 * A transport of the SDK with another `send`, whose callbacks are wrapped when they are set. All
 * else is that of the transport, also members that other versions of the SDK have.
 */
export function wrapped<T extends object, Send, OnMessage extends (...args: never[]) => void>(
  transport: T,
  { send, onmessage, closing }: TransportWrap<Send, OnMessage>,
): T {
  return new Proxy(transport, {
    get(target, name) {
      if (name === 'send') return send;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' && !String(name).startsWith('on') ? value.bind(target) : value;
    },
    set(target, name, value: unknown) {
      let given = value;
      if (typeof value === 'function') {
        if (name === 'onmessage') given = onmessage(value as OnMessage);
        if (name === 'onclose') {
          given = () => {
            closing();
            value();
          };
        }
      }
      return Reflect.set(target, name, given, target);
    },
  });
}
