-- Copyright (c) 2026, Groundwork contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- Runs functions of Kong's plugins pre-function and post-function on one request, with as much of Kong's interface as they
-- use and no more (Kong 3.9: kong/pdk, kong/tools/sandbox.lua). Prints what became of the request, one fact a line.
-- usage: luajit kong_stand_in.lua REQUEST FUNCTION …   (files; the request is a Lua table)
local asked = dofile(arg[1])

-- What the sandbox leaves of the language (kong/tools/kong-lua-sandbox.lua).
local sandbox = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, select = select, tonumber = tonumber,
  tostring = tostring, type = type, unpack = unpack, math = math, table = table,
  string = {
    byte = string.byte, char = string.char, find = string.find, format = string.format, gmatch = string.gmatch, gsub = string.gsub,
    len = string.len, lower = string.lower, match = string.match, rep = string.rep, reverse = string.reverse, sub = string.sub,
    upper = string.upper,
  },
}

local function bits(text)
  return (string.gsub(text, ".", function(byte)
    local result, value = "", string.byte(byte)
    for power = 7, 0, -1 do
      result = result .. (math.floor(value / 2 ^ power) % 2 == 1 and "1" or "0")
    end
    return result
  end))
end

-- Stands for resty.ipmatcher, for networks of IPv4.
local ipmatcher = {}
function ipmatcher.new(networks)
  local prefixes = {}
  for _, network in ipairs(networks) do
    local a, b, c, d, length = string.match(network, "^(%d+)%.(%d+)%.(%d+)%.(%d+)/?(%d*)$")
    if not a then return nil, "not a network" end
    prefixes[#prefixes + 1] = string.sub(bits(string.char(a, b, c, d)), 1, tonumber(length) or 32)
  end
  return {match_bin = function(_, address)
    for _, prefix in ipairs(prefixes) do
      if string.sub(bits(address), 1, #prefix) == prefix then return true end
    end
    return false
  end}
end
function sandbox.require(name)
  assert(name == "resty.ipmatcher", name)
  return ipmatcher
end

-- Headers in the order in which they came, names in lower case.
local headers = {}
for _, header in ipairs(asked.headers) do headers[#headers + 1] = {string.lower(header[1]), header[2]} end

local function clear_header(name)
  for position = #headers, 1, -1 do
    if headers[position][1] == string.lower(name) then table.remove(headers, position) end
  end
end

sandbox.ngx = {
  var = {binary_remote_addr = asked.address},
  req = {
    get_headers = function(most)
      local result, truncated = {}, nil
      for position, header in ipairs(headers) do
        if most > 0 and position > most then truncated = "truncated" break end
        local name, value = header[1], header[2]
        local former = result[name]
        if former == nil then
          result[name] = value
        elseif type(former) == "table" then
          former[#former + 1] = value
        else
          result[name] = {former, value}
        end
      end
      return result, truncated
    end,
  },
  encode_base64 = function(text)
    local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local all = bits(text)
    local result = string.gsub(all .. string.rep("0", -#all % 6), "......", function(six)
      local value = tonumber(six, 2) + 1
      return string.sub(alphabet, value, value)
    end)
    return result .. string.rep("=", -#result % 4)
  end,
}
sandbox.kong = {
  request = {
    get_method = function() return asked.method end,
    get_raw_path = function() return asked.path end,
    get_raw_query = function() return asked.query end,
  },
  service = {
    request = {
      set_header = function(name, value)
        assert(type(name) == "string" and type(value) == "string", name)
        clear_header(name)
        headers[#headers + 1] = {string.lower(name), value}
      end,
      clear_header = clear_header,
      set_raw_query = function(query)
        assert(type(query) == "string")
        asked.query = query
      end,
    },
  },
  router = {get_route = function() return asked.route and {name = asked.route} end},
  response = {
    -- Ends the phase, as Kong does.
    exit = function(status, body, more) error({status = status, body = body, headers = more or {}}) end,
  },
}

for position = 2, #arg do
  local chunk = assert(loadfile(arg[position]))
  setfenv(chunk, sandbox)
  local run = chunk()
  local done, refusal = pcall(run)
  if not done then
    if type(refusal) ~= "table" then error(refusal, 0) end
    print("status", refusal.status)
    print("message", refusal.body.message)
    for name, value in pairs(refusal.headers) do print("header", string.lower(name) .. "\t" .. value) end
    os.exit(0)
  end
end
print("query", asked.query)
for _, header in ipairs(headers) do print("header", header[1] .. "\t" .. header[2]) end
