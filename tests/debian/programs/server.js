// A server and its clients, a child process, a file, a timer and a signal: the event loop and libuv's threads.
const http = require('http'), cp = require('child_process'), fs = require('fs');
const s = http.createServer((q, r) => r.end('hello ' + q.url)).listen(0, '127.0.0.1', () => {
  let left = 20; for (let i = 0; i < 20; i++) http.get({ port: s.address().port, path: '/' + i, host: '127.0.0.1' }, r => {
    let d = ''; r.on('data', c => d += c).on('end', () => { if (d !== 'hello /' + i) console.log('bad', d); if (!--left) { s.close(); console.log('http ok'); } }); });
});
console.log(cp.execFileSync('/bin/echo', ['spawned']).toString().trim());
fs.promises.readFile(__filename).then(d => console.log('read', d.length));
setTimeout(() => console.log('timer'), 50);
process.on('SIGUSR2', () => console.log('signal')); process.kill(process.pid, 'SIGUSR2');
