import { CLAIM_ROUNDING, MAX_CLAIM_DELAY_US } from './rate-bucket.ts';
import { FORGET_US, GRACE_US, MIN_PART } from './replica-table.ts';

/**
 * The scripts that run inside Redis, each as one step. All time is Redis's own: the clocks of
 * replicas may differ, and a paused replica must not decide with an old time.
 */

/** An idle bucket is full long before; a new one starts empty. */
const KEY_TTL_S = 86_400;

const NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]";

/**
 * The bucket of `rate-bucket.ts`. KEYS: the bucket. ARGV: command, rate, burst, limit as a text,
 * then `take`: count, longest wait; `claim`: ready at, shift, born, longest wait, longest delay;
 * `refund`: count, born, 1 for reserved turns; `pause`: microseconds. Returns granted, wait, ready
 * at, shift, born, and the text of the last caller where it was another one.
 */
export const RATE_SCRIPT = `${NOW}
local rate, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local h = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'until', 'shift', 'born', 'limit', 'open', 'last')
local tokens, at = tonumber(h[1] or math.max(0, 1 - rate)), tonumber(h[2] or now)
local till, shift, born = tonumber(h[3] or 0), tonumber(h[4] or 0), tonumber(h[5] or now)
local since = math.max(math.min(at, now), math.min(till, now))
local open, last = tonumber(h[7] or 0), tonumber(h[8] or 0)
tokens = math.min(math.max(0, burst - open), tokens + (now - since) / 1000000 * rate)
if now > last + ${MAX_CLAIM_DELAY_US} then
  tokens = tokens + open
  open = 0
end
local base = math.max(now, till)
local granted, wait, ready = 0, 0, 0
if ARGV[1] == 'take' then
  local whole = math.floor(tokens + 0.000001)
  if till <= now and whole >= 1 then
    granted = math.min(tonumber(ARGV[5]), whole)
    tokens = tokens - granted
  else
    ready = base + math.ceil(math.max(0, 1 - tokens) / rate * 1000000)
    wait = ready - now
    if wait <= tonumber(ARGV[6]) then
      tokens = tokens - 1
      open = open + 1
      last = math.max(last, ready)
    else ready = 0 end
  end
elseif ARGV[1] == 'claim' then
  ready = tonumber(ARGV[5]) + shift - tonumber(ARGV[6])
  wait = math.max(0, ready - now)
  if born ~= tonumber(ARGV[7]) or shift < tonumber(ARGV[6]) or wait > tonumber(ARGV[8]) then wait, ready = 0, 0
  elseif wait == 0 then
    local missing = 1 - (tokens + open)
    local is_late = now - ready > tonumber(ARGV[9])
    ready = 0
    if open > 0 and not is_late and missing > ${CLAIM_ROUNDING} then
      wait = math.ceil(missing / rate * 1000000)
      ready = now + wait
      last = math.max(last, ready)
    elseif open > 0 then
      open = open - 1
      if is_late then tokens = math.min(math.max(0, burst - open), tokens + 1) else granted = 1 end
    end
  end
elseif ARGV[1] == 'refund' then
  local is_reserved = ARGV[7] == '1'
  if born == tonumber(ARGV[6]) and not (is_reserved and open == 0) then
    if is_reserved then open = open - 1 end
    tokens = math.min(math.max(0, burst - open), tokens + tonumber(ARGV[5]))
  end
elseif ARGV[1] == 'pause' then
  local finish = now + tonumber(ARGV[5])
  if finish > base then
    shift = shift + finish - base
    last = last + finish - base
    till = finish
    tokens = math.min(tokens, math.max(0, 1 - open))
  end
end
local whole_number = function(n) return string.format('%.0f', n) end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', whole_number(now), 'until', whole_number(till), 'shift', whole_number(shift), 'born', whole_number(born), 'limit', ARGV[4], 'open', open, 'last', whole_number(last))
redis.call('EXPIRE', KEYS[1], ${KEY_TTL_S})
local other = ''
if h[6] and h[6] ~= ARGV[4] then other = h[6] end
return {granted, wait, ready, shift, born, other}`;

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
 * The table of `replica-table.ts`. KEYS: replicas by expiry, replicas by the time they joined,
 * their shares. ARGV: name, lifetime, expires at, minimum, expected, how long expected, used share.
 * Returns the time, the divisor of a local share, the rank, how many are alive and missing, and the
 * shares of the missing ones, and how many are known. Costs O(missing + log replicas).
 */
export const REPLICA_SCRIPT = `${NOW}
local me, ttl, least = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local whole_number = function(n) return string.format('%.0f', n) end
local function drop(name)
  redis.call('ZREM', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
  redis.call('HDEL', KEYS[3], name)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole_number(now - ${FORGET_US}))) do drop(gone) end
local h = redis.call('HMGET', KEYS[3], '#born', '#expected', '#until')
local born, expected, till = tonumber(h[1] or now), tonumber(h[2] or 0), tonumber(h[3] or 0)
if ttl == 0 then drop(me) else
  if now >= till then expected = 0 end
  local fresh = born + tonumber(ARGV[6])
  if now < fresh then
    expected = math.max(expected, tonumber(ARGV[5]))
    till = math.max(till, fresh)
  end
  if tonumber(ARGV[7]) > 0 then
    redis.call('ZADD', KEYS[1], whole_number(now + ${GRACE_US} - ${FORGET_US}), me .. ':past')
    redis.call('HSET', KEYS[3], me .. ':past', ARGV[7])
  end
  local finish = now + ttl
  if tonumber(ARGV[3]) > 0 then finish = math.min(finish, tonumber(ARGV[3])) end
  redis.call('ZADD', KEYS[1], whole_number(finish), me)
  redis.call('ZADD', KEYS[2], 'NX', whole_number(now), me)
end
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole_number(now))
local alive = redis.call('ZCARD', KEYS[1]) - #late
local missing, share, past, past_share = 0, 0, 0, 0
for _, name in ipairs(late) do
  local part = 1 / tonumber(redis.call('HMGET', KEYS[3], name)[1] or 1)
  if string.sub(name, -5) == ':past' then
    past = past + 1
    past_share = past_share + part
  else
    missing = missing + 1
    share = share + part
  end
end
local known = alive + missing
if now < till then
  local unknown = math.max(0, expected - alive - missing)
  missing = missing + unknown
  if unknown > 0 then share = share + unknown / expected end
end
local divisor = math.max(1, least, math.ceil(alive / math.max(${MIN_PART}, 1 - share) - 0.000000001))
redis.call('HSET', KEYS[3], '#born', whole_number(born), '#expected', expected, '#until', whole_number(till))
if ttl > 0 then redis.call('HSET', KEYS[3], me, divisor) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ${KEY_TTL_S}) end
local rank = redis.call('ZRANK', KEYS[2], me) or 0
return {now, divisor, rank, alive, missing + past, string.format('%.9f', share + past_share), known}`;
