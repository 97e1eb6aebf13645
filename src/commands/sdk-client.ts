/**
 * The parts of the MCP SDK that the commands use, as one chunk that leaves out the rest of the SDK.
 */
export {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  Client,
  PROTOCOL_VERSION_META_KEY,
  ProtocolError,
} from '@modelcontextprotocol/client';
