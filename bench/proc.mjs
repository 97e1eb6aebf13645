// What the system says about another process.
import { readFile } from 'node:fs/promises';

const read = (path) =>
  readFile(path, 'utf8').catch(() => {
    throw new Error(`this system has no ${path.replace(/\d+/g, '<n>')} to read`);
  });

/** @returns in MB of 1024 kB: what is resident now, and the most that ever was. */
export async function memoryOf(pid) {
  const status = await read(`/proc/${pid}/status`);
  const mb = (field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { resident: mb('VmRSS'), peak: mb('VmHWM') };
}

/** @returns milliseconds on a core so far, of all its threads. Linux counts them in ticks of 10 ms. */
export async function cpuOf(pid) {
  const stat = await read(`/proc/${pid}/stat`);
  // The name in brackets may hold anything; user and system time are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
