/** The response media types that a client's Accept header allows. */
export interface AcceptedForms {
  readonly json: boolean;
  readonly events: boolean;
}

/**
 * The header that MCP requires of clients; servers answer 406 where one of the two is missing. The
 * SDKs send it to the letter, so it need not be parsed.
 */
export const ACCEPT = 'application/json, text/event-stream';

export const ANY_FORM: AcceptedForms = { json: true, events: true };

/**
 * Which forms of an answer a request accepts; without an Accept header, all (RFC 9110, 12.5.1).
 * Pure.
 */
export function acceptedForms(header: string | undefined): AcceptedForms {
  if (header === undefined || header === ACCEPT) return ANY_FORM;
  return { json: accepts(header, 'application/json'), events: accepts(header, 'text/event-stream') };
}

/**
 * Whether an Accept header takes a media type: the most specific range decides, and `q=0` excludes
 * (RFC 9110, 12.5.1). Pure.
 */
export function accepts(header: string | undefined, type: string): boolean {
  if (header === undefined) return true;
  let rank = 0;
  let taken = false;
  for (const part of header.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const found = rankOf(range, type);
    if (found === 0 || found < rank) continue;
    const wanted = !parameters.some((parameter) => /^q\s*=\s*0(\.0*)?$/.test(parameter));
    taken = wanted || (found === rank && taken);
    rank = found;
  }
  return taken;
}

/** 3 for the type itself, 2 for all of its kind, 1 for everything, 0 for another. */
function rankOf(range: string, type: string): number {
  if (range === type) return 3;
  if (range === '*/*') return 1;
  return range.endsWith('/*') && type.startsWith(range.slice(0, -1)) ? 2 : 0;
}
