// The least that a reverse proxy on Node can do, in a process of its own: bytes through, nothing read, nothing signed.
import { Agent, createServer, request } from 'node:http';

const target = new URL(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: Number(process.argv[3]), scheduling: 'lifo' });

const server = createServer((incoming, outgoing) => {
  const { host: _host, ...headers } = incoming.headers;
  const onward = request(
    {
      host: target.hostname,
      port: target.port,
      path: target.pathname,
      method: incoming.method,
      headers,
      agent,
    },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    },
  );
  onward.on('error', () => outgoing.destroy());
  incoming.pipe(onward);
});
server.keepAliveTimeout = 0;
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}/mcp` }));
