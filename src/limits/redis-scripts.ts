/**
 * The scripts that run inside Redis, each as one step. All time is Redis's own: the clocks of
 * replicas may differ, and a paused replica must not decide with an old time.
 */

/** An idle bucket is full long before; a bucket that was forgotten starts with one turn. */
const BUCKET_TTL_S = 3_600;

const NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]";

/**
 * The bucket of `rate-bucket.ts`. KEYS: the bucket. ARGV: command, rate, burst, then `take`: count,
 * longest wait, rejoin; `claim`: ready at, shift, longest wait; `refund`: count; `pause`:
 * microseconds. Returns granted, wait, ready at, shift, and the limit of the last caller where it
 * was another one.
 */
export const RATE_SCRIPT = `${NOW}
local rate, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local limit = ARGV[2] .. '/' .. ARGV[3]
local h = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'until', 'shift', 'limit')
local tokens, at, till, shift = tonumber(h[1] or 1), tonumber(h[2] or now), tonumber(h[3] or 0), tonumber(h[4] or 0)
local since = math.max(math.min(at, now), math.min(till, now))
tokens = math.min(burst, tokens + (now - since) / 1000000 * rate)
local base = math.max(now, till)
local granted, wait, ready = 0, 0, 0
if ARGV[1] == 'take' then
  local rejoin = tonumber(ARGV[6])
  if rejoin > 0 then tokens = math.min(tokens, 0) end
  local whole = math.floor(tokens + 0.000001)
  if till <= now and whole >= 1 then
    granted = math.min(tonumber(ARGV[4]), whole)
    tokens = tokens - granted
  else
    ready = base + math.ceil(math.max(0, 1 - tokens) / (rate / math.max(1, rejoin)) * 1000000)
    wait = ready - now
    if wait <= tonumber(ARGV[5]) then tokens = tokens - 1 else ready = 0 end
  end
elseif ARGV[1] == 'claim' then
  ready = tonumber(ARGV[4]) + shift - tonumber(ARGV[5])
  wait = math.max(0, ready - now)
  if shift < tonumber(ARGV[5]) or wait > tonumber(ARGV[6]) then wait, ready = 0, 0
  elseif wait == 0 then granted, ready = 1, 0 end
elseif ARGV[1] == 'refund' then
  tokens = math.min(burst, tokens + tonumber(ARGV[4]))
elseif ARGV[1] == 'pause' then
  local finish = now + tonumber(ARGV[4])
  if finish > base then
    shift = shift + finish - base
    till = finish
    tokens = math.min(tokens, 1)
  end
end
local whole_number = function(n) return string.format('%.0f', n) end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', whole_number(now), 'until', whole_number(till), 'shift', whole_number(shift), 'limit', limit)
redis.call('EXPIRE', KEYS[1], ${BUCKET_TTL_S})
local other = ''
if h[5] and h[5] ~= limit then other = h[5] end
return {granted, wait, ready, shift, other}`;

/**
 * The running calls of all replicas. KEYS: leases by expiry, waiting replicas by turn, waiting
 * replicas by expiry. ARGV: command, name of the replica, then `enter`: limit, lifetime of a lease,
 * lifetime of a waiting replica (0: it does not wait), 1 where it waits for more, lease names;
 * `release`: channel prefix, message, lease names; `renew`: lifetime, lease names; `quit`: no more.
 * `enter` returns how many leases it has granted, in the order of their names.
 *
 * A replica that waits gets a lease only before those that came later, and goes to the end with
 * each grant: a busy replica does not starve the others. One that stops polling loses its place.
 */
export const LEASE_SCRIPT = `${NOW}
local me = ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
local function leave()
  redis.call('ZREM', KEYS[2], me)
  redis.call('ZREM', KEYS[3], me)
end
local function keep(ttl)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, math.ceil(ttl / 1000) * 2 + 60000) end
end
if ARGV[1] == 'enter' then
  local ttl, patience = tonumber(ARGV[4]), tonumber(ARGV[5])
  local ahead = redis.call('ZRANK', KEYS[2], me) or redis.call('ZCARD', KEYS[2])
  local free = tonumber(ARGV[3]) - redis.call('ZCARD', KEYS[1]) - ahead
  local wanted = #ARGV - 6
  local granted = math.max(0, math.min(wanted, free))
  for i = 1, granted do redis.call('ZADD', KEYS[1], now + ttl, ARGV[6 + i]) end
  if granted > 0 then leave() end
  if patience > 0 and (granted < wanted or ARGV[6] == '1') then
    redis.call('ZADD', KEYS[2], 'NX', now, me)
    redis.call('ZADD', KEYS[3], now + patience, me)
  end
  keep(ttl)
  return granted
elseif ARGV[1] == 'release' then
  for i = 5, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
  local next = redis.call('ZRANGE', KEYS[2], 0, #ARGV - 5)
  for _, replica in ipairs(next) do redis.pcall('PUBLISH', ARGV[3] .. replica, ARGV[4]) end
  return #next
elseif ARGV[1] == 'renew' then
  for i = 4, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[i]) end
  keep(tonumber(ARGV[3]))
  return 0
end
leave()
return 0`;

/**
 * The replicas that are alive. KEYS: replicas by expiry. ARGV: name, lifetime; a lifetime of 0
 * leaves. Returns their number.
 */
export const REPLICA_SCRIPT = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local ttl = tonumber(ARGV[2])
if ttl > 0 then redis.call('ZADD', KEYS[1], now + ttl, ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], 60000 + math.ceil(ttl / 1000))
return redis.call('ZCARD', KEYS[1])`;
