/** Gives only the suite an fs with every name that it imports. */
export const resolve = (specifier, context, next) =>
  specifier === 'fs' && context.parentURL?.includes('/@modelcontextprotocol/conformance/')
    ? { url: new URL('./fs.mjs', import.meta.url).href, shortCircuit: true }
    : next(specifier, context);
