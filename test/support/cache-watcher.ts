/**
 * A module for --require: reports on stderr whether each script was compiled from a cache that V8
 * accepted.
 */
export const CACHE_WATCHER = `const vm = require('node:vm');
const Script = vm.Script;
vm.Script = class extends Script {
  constructor(source, options) {
    super(source, options);
    const cached = options.cachedData !== undefined && this.cachedDataRejected === false;
    process.stderr.write(cached ? 'cached\\n' : 'compiled\\n');
  }
};`;
