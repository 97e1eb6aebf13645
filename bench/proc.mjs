// The system's figures of another process.
import { readdir, readFile } from 'node:fs/promises';

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

/**
 * @returns milliseconds on a core so far, of all its threads: as the scheduler counts them, to the nanosecond. The ticks of
 *   /proc/<n>/stat are 10 ms, too coarse for what takes a tenth of one.
 */
export async function cpuOf(pid) {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const times = await Promise.all(threads.map((thread) => read(`/proc/${pid}/task/${thread}/schedstat`)));
  if (times.length === 0) throw new Error('this system has no /proc/<n>/task to read');
  return times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e6;
}
