import { isObject } from '../core/jsonrpc/message.ts';
import type { ToolResult } from './tool-source.ts';

/** A content block of a LangChain message. */
export type ContentBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string } };

/** Converts a content block of MCP to LangChain's. Other kinds become JSON text. */
function blockOf(block: object): ContentBlock {
  const { type, text, data, mimeType, resource } = block as Record<string, unknown>;
  if (type === 'text' && typeof text === 'string') return { type, text };
  if (type === 'image') return { type: 'image_url', image_url: { url: `data:${mimeType};base64,${data}` } };
  if (type === 'resource' && isObject(resource) && typeof resource.text === 'string')
    return { type: 'text', text: resource.text };
  return { type: 'text', text: JSON.stringify(block) };
}

/** The content of a tool message: one string if all blocks are text. Pure. */
export function contentOf({ content = [], structuredContent }: ToolResult): string | ContentBlock[] {
  if (content.length === 0) return structuredContent === undefined ? '' : JSON.stringify(structuredContent);
  const blocks = content.map(blockOf);
  const texts = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  return texts.length === blocks.length ? texts.join('\n') : blocks;
}
