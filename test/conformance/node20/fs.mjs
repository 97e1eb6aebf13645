// The suite imports fs.globSync, which Node 20 does not have, for a command that nobody runs here.
export * from 'node:fs';
export { default } from 'node:fs';
export const globSync = () => {
  throw new Error('fs.globSync needs Node 22');
};
