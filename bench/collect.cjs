// Loaded into a process that is measured: on SIGUSR2 it collects its garbage and writes what is left, in bytes, to descriptor 3.
const { writeSync } = require('node:fs');

process.on('SIGUSR2', () => {
  // Twice: what a finalizer of the first frees is garbage of the second.
  global.gc();
  global.gc();
  writeSync(3, `${process.memoryUsage().heapUsed}\n`);
});
