/**
 * The parts of the MCP SDK that the commands use, as one chunk that leaves out the rest of the SDK.
 */
export { Client, ProtocolError } from '@modelcontextprotocol/client';
