-- One distinct callback a request: bots in turn, a serial number that no other request has.
-- `wrk -s wrk.lua URL -- FIRST` begins with FIRST.
local serial = 0
local wanted = { ["Content-Type"] = "application/json" }

function init(arguments)
  serial = tonumber(arguments[1]) or 0
end

function request()
  serial = serial + 1
  local ms = serial % 1000
  local body = string.format(
    '{"event":"bot.recording","bot_id":"bot-%d","bot_status":"Recording","message":"recording","status_code":200,' ..
    '"timestamp":"%s.%03dZ","custom_attributes":{"serial":"%d"}}',
    serial % 64, os.date("!%Y-%m-%dT%H:%M:%S", 1780000000 + (serial - ms) / 1000), ms, serial)
  return wrk.format("POST", nil, wanted, body)
end

function done(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, bad,
    latency:percentile(50), latency:percentile(99)))
end
