import { isObject, type JsonObject, type Response, valueTextAt } from '../core/jsonrpc/message.ts';

const endWithNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

/** The content blocks of a tool's result. */
export function contentOf({ json }: Response): readonly unknown[] {
  const { content } = isObject(json.result) ? json.result : {};
  return Array.isArray(content) ? content : [];
}

/**
 * The content as text; without content, the structured content as the server sent it.
 * @param isLeftOut - true for blocks that are printed elsewhere.
 */
export function resultText(answer: Response, isLeftOut: (block: unknown) => boolean = () => false): string {
  const content = contentOf(answer);
  if (content.length > 0) return content.map((block) => (isLeftOut(block) ? '' : blockText(block))).join('');
  const structured = valueTextAt(answer.text, ['result', 'structuredContent']);
  return structured === undefined ? '' : `${structured}\n`;
}

/** One content block as text; binary content is described. */
export function blockText(block: unknown): string {
  if (!isObject(block)) return '';
  const { type, text, uri, resource } = block;
  if (type === 'text' && typeof text === 'string') return endWithNewline(text);
  if (type === 'resource' && isObject(resource)) return resourceText(resource);
  if (type === 'resource_link' && typeof uri === 'string') return `${uri}\n`;
  return described(String(type), block);
}

/** The contents of a resource as text; a blob is described. */
export function resourceText(resource: JsonObject): string {
  return typeof resource.text === 'string' ? endWithNewline(resource.text) : described('resource', resource);
}

function described(type: string, { mimeType, data, blob, uri }: JsonObject): string {
  const base64 = data ?? blob;
  const facts = [
    typeof mimeType === 'string' ? mimeType : '',
    typeof base64 === 'string' ? `${base64.length} characters of base64` : '',
    typeof uri === 'string' ? uri : '',
  ].filter(Boolean);
  const remedy = typeof base64 === 'string' ? '--output <file> writes it' : '--json prints it';
  return `[${[type, ...facts].join(', ')}: ${remedy}]\n`;
}

/** Binary content of a block or a resource. */
export interface Binary {
  readonly base64: string;
  readonly mimeType: string;
}

/** The binary content of an image, audio or resource block; undefined for any other. */
export function binaryOf(block: unknown): Binary | undefined {
  if (!isObject(block)) return undefined;
  const { data, blob, resource, mimeType } = block;
  const base64 = data ?? blob;
  if (typeof base64 !== 'string') return isObject(resource) ? binaryOf(resource) : undefined;
  return { base64, mimeType: typeof mimeType === 'string' ? mimeType : 'unknown type' };
}
