import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import type { Handler } from '../../src/core/pipeline/call.ts';
import { loginElicitation } from '../../src/layers/login-elicitation.ts';
import { makeCall, requestOf } from '../support/make-call.ts';

const required = new ProxyError('login-required', 'Log in.', { sent: 'refused', details: { command: 'x' } });

/** The layer over a server that needs a login, after the client's `initialize`. */
async function afterInitialize(capabilities: unknown, begin = async () => ({ id: '0', url: 'https://l/' })) {
  let failure: unknown = new Error('not opened');
  const next: Handler = async () => {
    throw failure;
  };
  const handle = loginElicitation(begin)(next);
  const send = (method: string, params: object) => handle(makeCall(requestOf(method, params)).call);
  await send('initialize', { capabilities }).catch(() => undefined);
  return (method: string, error: unknown = required) => {
    failure = error;
    return send(method, {});
  };
}

describe('the elicitation of a login', () => {
  it.each([
    ['a client that opens URLs', { elicitation: { url: {} } }, 'tools/call', 'url-elicitation'],
    ['a client with forms only', { elicitation: { form: {} } }, 'tools/call', 'login-required'],
    ['a client without elicitation', {}, 'tools/call', 'login-required'],
    ['a request that elicits nothing', { elicitation: { url: {} } }, 'tools/list', 'login-required'],
  ])(
    'a call that needs a login, from %s, fails in the form that it expects',
    async (_case, caps, method, reason) => {
      const send = await afterInitialize(caps);
      await expect(send(method)).rejects.toMatchObject({ reason });
    },
  );

  it('a login that cannot begin leaves the error with the command', async () => {
    const send = await afterInitialize({ elicitation: { url: {} } }, () =>
      Promise.reject(new Error('no port')),
    );
    await expect(send('tools/call')).rejects.toBe(required);
  });

  it('other errors pass the elicitation of a login unchanged', async () => {
    const send = await afterInitialize({ elicitation: { url: {} } });
    const other = new ProxyError('timeout', 'late', { sent: 'maybe' });
    await expect(send('tools/call', other)).rejects.toBe(other);
  });
});
