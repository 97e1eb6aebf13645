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
  const open = async () => {
    const client =
      subject.kind === 'direct' ? new DirectClient(url, direct) : new StdioClient(subject.args, subject.env);
    opened.push(client);
    await client.initialize();
    return client;
  };
  const opened = [];
  let outcome;
  try {
    const { run } = await import(`./scenarios/${scenario}.mjs`);
    outcome = { numbers: await run({ subject, open, size, serverCounts: () => ask('counts') }) };
  } catch (error) {
    outcome = { problem: error.message };
    await Promise.all(opened.map((client) => client.close().catch(() => undefined)));
  }
  process.send(outcome, () => process.exit());
});
