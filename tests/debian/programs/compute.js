// V8's tiers, deoptimisation, garbage collection, regular expressions, WebAssembly, big integers: each writes code of its own.
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
console.log('fib', fib(27));
function mix(a, b) { return a + b; }
let s = 0; for (let i = 0; i < 300000; i++) s = mix(s, i & 7);
let t = ''; for (let i = 0; i < 1000; i++) t = mix(t, 'x' + i);   // deoptimises mix
console.log('deopt', s, t.length);
const live = []; for (let i = 0; i < 200000; i++) { const o = { i, s: 'k' + i, a: [i, i + 1] }; if (i % 50 === 0) live.push(o); }
console.log('gc', live.length, live.reduce((x, o) => x + o.a[1], 0));
const text = Array.from({ length: 20000 }, (_, i) => `id${i}=${i * i % 977}`).join(';');
let m = 0; for (const r of text.matchAll(/id(\d+)=(\d+)/g)) m += r[1] % 13 * r[2];
console.log('regexp', m);
let f = 1n; for (let i = 1n; i <= 400n; i++) f *= i; console.log('bigint', String(f).length, f % 1000000007n);
const wasm = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 115, 117, 109, 0, 0,    // (i32) -> i32, exported as sum
  10, 27, 1, 25, 1, 1, 127, 3, 64, 32, 0, 32, 1, 106, 33, 1, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 32, 1, 11]);
const { sum } = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports;
let w = 0; for (let i = 1; i <= 200; i++) w = w + sum(i * 100) | 0;
console.log('wasm', sum(100000), w);
const a = new Float64Array(100000).map((_, i) => Math.sin(i)); a.sort(); console.log('float', a[5].toFixed(12), a[99990].toFixed(12));
console.log('crypto', require('crypto').createHash('sha256').update(text).digest('hex').slice(0, 16));
console.log('zlib', require('zlib').gunzipSync(require('zlib').gzipSync(text)).toString() === text);
function deep(n) { return n ? 1 + deep(n - 1) : 0; } try { (function f() { f(); })(); } catch (e) { console.log('stack', e instanceof RangeError, deep(3000)); }
