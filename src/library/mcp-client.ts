/** The part of the MCP SDK that the library uses, as one chunk that leaves out the rest. */
export { Client, ProtocolError } from '@modelcontextprotocol/client';
