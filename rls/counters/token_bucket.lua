-- Take tokens from one bucket. The arithmetic is rls/bucket.py's, step for step.
--   KEYS[1]  the bucket: a text "<tokens spent> <Unix microseconds when that was true>", absent = full
--   ARGV[1]  tokens to take, 0 = look
--   ARGV[2]  now, Unix microseconds
--   ARGV[3]  tokens that come back per unit
--   ARGV[4]  the unit, microseconds
--   ARGV[5]  tokens a full bucket holds
-- Returns the tokens spent with this request's among them, as text with 17 digits: a Lua number
-- would lose its fraction on the way. Over ARGV[5] means refused, and the bucket is as before.
local spent, updated = 0, 0
local bucket = redis.call('GET', KEYS[1])
if bucket then
  local left, right = bucket:match('^(%S+) (%S+)$')
  spent, updated = tonumber(left), tonumber(right)
end
local addend, now, back, unit, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5])
local moment = math.max(now, updated)
local refilled = (moment - updated) * back / unit
local after = math.max(0, spent - refilled) + addend
if addend > 0 and after <= burst then
  -- Kept until it would be full again, and a while longer for a clock that steps back; a century
  -- at most, because the server refuses a TTL that overflows its clock.
  local ttl_ms = math.min(math.ceil(after * unit / back / 1000) + 60000, 3.2e12)
  redis.call('SET', KEYS[1], string.format('%.17g %.0f', after, moment), 'PX', string.format('%.0f', ttl_ms))
end
return string.format('%.17g', after)
