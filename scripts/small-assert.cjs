/**
 * What undici uses of `node:assert`, whose loading is 2 % of a start: the same error, without the
 * difference of two values.
 */
module.exports = function assert(value, message) {
  if (value) return;
  if (message instanceof Error) throw message;
  throw Object.assign(new Error(message ?? 'undici found its own state wrong'), { code: 'ERR_ASSERTION' });
};
