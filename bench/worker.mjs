// Runs one scenario against one subject, in a process of its own: nobody inherits another's heap, compiled code or sockets.
import { DirectClient } from './direct-client.mjs';
import { StdioClient } from './stdio-client.mjs';

/** A message to the runner, and what it says to it. */
const ask = (question) =>
  new Promise((resolve) => {
    process.once('message', resolve);
    process.send(question);
  });

process.once('message', async ({ scenario, subject, url, size, direct }) => {
  /**
   * @param {readonly string[]} flags - more of them, for a proxy of ours.
   * @param {object} options - of the stdio client; `endpoint` in place of the server's URL, and `env` beside the subject's.
   */
  const open = async (flags = [], { endpoint = url, env = {}, ...options } = {}) => {
    const args = subject.args?.map((arg) => (arg === url ? endpoint : arg));
    const client =
      subject.kind === 'direct'
        ? new DirectClient(url, direct)
        : new StdioClient([...args, ...flags], { ...subject.env, ...env }, options);
    opened.push(client);
    await client.initialize();
    return client;
  };
  const opened = [];
  let outcome;
  try {
    const { run } = await import(`./scenarios/${scenario}.mjs`);
    const serverCounts = () => ask('counts');
    const forgetSessions = () => ask('forget');
    outcome = { numbers: await run({ subject, url, direct, open, size, serverCounts, forgetSessions }) };
  } catch (error) {
    outcome = { problem: error.message };
    await Promise.all(opened.map((client) => client.close().catch(() => undefined)));
  }
  process.send(outcome, () => process.exit());
});
