import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { expect, it } from 'vitest';
import { SessionPool } from '../../src/library/index.ts';
import { OAuthServer } from '../support/oauth-server.ts';

it('a pool whose proxy logs in by OAuth client credentials opens sessions and calls tools', async () => {
  const server = await OAuthServer.start();
  server.behaviour.clients = { robot: 's3cret-of-the-robot' };
  const pool = new SessionPool<Client>({
    endpoint: server.url,
    clientFactory: () => new Client({ name: 'test', version: '1' }),
    minSessions: 1,
    proxy: {
      auth: 'oauth',
      oauthFlow: 'client-credentials',
      oauthClientId: 'robot',
      oauthClientSecretEnv: 'ROBOT_SECRET',
      oauthIssuer: server.origin,
      env: { ROBOT_SECRET: 's3cret-of-the-robot' },
    },
  });
  await pool.start();
  expect(pool.isReady()).toBe(true);
  expect(await pool.callTool('echo', { text: 'x' })).toMatchObject({ content: [{ text: '{"text":"x"}' }] });
  await pool.shutdown();
  expect(server.grants).toEqual(['client_credentials']);
});
