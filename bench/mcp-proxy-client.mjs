// mcp-proxy's command line serves the other way round; its library has this direction.
import { ServerType, startStdioServer } from 'mcp-proxy';

await startStdioServer({ serverType: ServerType.HTTPStream, url: process.argv[2] });
