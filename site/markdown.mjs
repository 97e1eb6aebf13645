// What the Markdown of GitHub leaves to its reader, and a screen reader needs.

/** A heading cell without text is no heading. */
function plainEmptyHeads(tokens) {
  for (const [at, token] of tokens.entries()) {
    if (token.type !== 'th_open' || tokens[at + 1].content.trim() !== '') continue;
    token.tag = 'td';
    tokens[at + 2].tag = 'td';
  }
}

/** An indented block is a fenced one, whose scrolling part takes the focus. */
function fenceIndented(tokens) {
  for (const token of tokens) {
    if (token.type !== 'code_block') continue;
    token.type = 'fence';
    token.tag = 'code';
    token.info = 'text';
    token.markup = '```';
  }
}

/** A plugin of markdown-it. */
export function accessible(md) {
  md.core.ruler.push('accessible', ({ tokens }) => {
    plainEmptyHeads(tokens);
    fenceIndented(tokens);
  });
}

/** The anchor of a heading as GitHub makes it, so that a link works in both places. */
export const anchorOf = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
