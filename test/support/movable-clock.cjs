/**
 * Preloaded into a spawned program, whose clocks and timers then move on when the test sends
 * `{ advanceMs }`. The program itself is the one that ships. Without such a message, its time is
 * real.
 */
const realDate = globalThis.Date;
const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;
const realMonotonic = performance.now.bind(performance);

/** How far the program's time is ahead. */
let offsetMs = 0;
const now = () => realDate.now() + offsetMs;
const monotonic = () => realMonotonic() + offsetMs;

/** Pending timers, by the object that the program holds. */
const pending = new Map();

globalThis.Date = class MovableDate extends realDate {
  constructor(...args) {
    if (args.length === 0) super(now());
    else super(...args);
  }

  static now() {
    return now();
  }
};
Object.defineProperty(performance, 'now', { value: monotonic });

globalThis.setTimeout = (callback, ms = 0, ...args) => {
  const delay = Number(ms) >= 0 ? Number(ms) : 0;
  const entry = {
    due: monotonic() + delay,
    fire: () => {
      if (pending.delete(timer)) callback(...args);
    },
  };
  const timer = realSetTimeout(entry.fire, delay);
  pending.set(timer, entry);
  const refresh = timer.refresh.bind(timer);
  timer.refresh = () => {
    entry.due = monotonic() + delay;
    pending.set(timer, entry);
    return refresh();
  };
  return timer;
};
globalThis.clearTimeout = (timer) => {
  pending.delete(timer);
  realClearTimeout(timer);
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

function nextUntil(target) {
  let next;
  for (const [timer, entry] of pending) {
    if (entry.due <= target && (next === undefined || entry.due < next.entry.due)) next = { timer, entry };
  }
  return next;
}

/** Fires what falls due in its order, at its time. */
async function advance(ms) {
  const target = monotonic() + ms;
  for (let next = nextUntil(target); next !== undefined; next = nextUntil(target)) {
    offsetMs += Math.max(0, next.entry.due - monotonic());
    // The real timer must not keep the process alive for what has fired.
    next.timer.unref();
    next.entry.fire();
    await turn();
  }
  offsetMs += Math.max(0, target - monotonic());
  await turn();
}

process.on('message', ({ advanceMs }) => {
  void advance(advanceMs).then(() => process.send({ advanced: true }));
});
process.channel?.unref();
