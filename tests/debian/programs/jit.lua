-- Traces, side exits, garbage collection, coroutines, calls into C: what LuaJIT compiles must print what its interpreter does.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(27))
local t = {}
for i = 1, 200000 do t[#t + 1] = tostring(i) end
local s, n, x = table.concat(t, ","), 0, 0
for word in s:gmatch("%d+") do n = n + tonumber(word) end
for i = 1, 10000000 do x = x + (i % 7 == 0 and i % 11 or i % 3) end
print(#s, n, x)
local ffi = require "ffi"
ffi.cdef "typedef struct { int a; double b; } pair; double sqrt(double); int abs(int);"
local pairs_ = ffi.new("pair[100]")
for i = 0, 99999 do local p = pairs_[i % 100]; p.a = p.a + ffi.C.abs(-i); p.b = p.b + ffi.C.sqrt(i) end
print(pairs_[99].a, string.format("%.9f", pairs_[42].b))
local next_ = coroutine.wrap(function() for i = 1, 100000 do coroutine.yield(i) end end)
local c = 0
for i = 1, 100000 do c = c + next_() end
print(c, pcall(error, "caught"))
for round = 1, 200 do                                   -- each chunk is compiled anew, and traces are thrown away
    local f = loadstring("local x = ... for i = 1, 200 do x = x + " .. round .. " end return x")
    c = c + f(round)
    if round % 50 == 0 then jit.flush() end
end
print(c, bit.bxor(0x12345678, bit.rol(c, 7)))
