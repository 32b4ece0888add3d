// Four isolates on threads of their own, and memory that they share.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(8), view = new Int32Array(shared);
  let left = 4, total = 0;
  for (let n = 0; n < 4; n++) new Worker(__filename, { workerData: { n, shared } })
    .on('message', v => total += v).on('error', e => { console.log(e); process.exit(3); })
    .on('exit', () => { if (!--left) console.log('workers', total, Atomics.load(view, 0)); });
} else {
  const view = new Int32Array(workerData.shared);
  let x = 0; for (let i = 0; i < 200000; i++) { x = (x * 31 + i + workerData.n) % 1000003; Atomics.add(view, 0, 1); }
  parentPort.postMessage(x);
}
