// Loaded into a process that is measured: on SIGUSR2 it collects its garbage and writes what live objects hold, in bytes, to
// descriptor 3: the heap, and the memory of buffers beside it.
const { writeSync } = require('node:fs');

process.on('SIGUSR2', () => {
  // Twice: what a finalizer of the first frees is garbage of the second.
  global.gc();
  global.gc();
  const { heapUsed, external } = process.memoryUsage();
  writeSync(3, `${heapUsed + external}\n`);
});
