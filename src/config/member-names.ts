/** Commands of a terminal, which keep their flags; or one flag. */
const COMMAND_OR_FLAG =
  /aws(?: [a-z][a-z-]*)+ --profile \S+|npx \S+ \S+(?: (?!-)\S+)?(?: --[a-z-]+(?: (?!-)\S+)?)*|--([a-z][a-z0-9-]*)/g;

const memberOf = (name: string): string =>
  name.replace(/-([a-z0-9])/g, (_dash, letter: string) => letter.toUpperCase());

/** The text with the member names of a program in place of the flags of these options. Pure. */
export const withMemberNames = (text: string, keys: ReadonlySet<string>): string =>
  text.includes('--')
    ? text.replace(COMMAND_OR_FLAG, (found: string, name: string | undefined) => {
        const member = name === undefined ? '' : memberOf(name);
        return keys.has(member) ? member : found;
      })
    : text;
