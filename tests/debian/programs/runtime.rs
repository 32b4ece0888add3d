//! Threads, channels, panics that are caught (unwinding), floating point, children.
use std::collections::HashMap;
use std::sync::{mpsc, Arc, Mutex};
use std::{panic, process, thread};

fn main() {
    let words: HashMap<u64, String> = (0..1000).map(|i| (i * i % 97, format!("w{i}"))).collect();
    let mut keys: Vec<_> = words.keys().collect();
    keys.sort();
    println!("map {} {:?}", keys.len(), &keys[..5]);
    let total = Arc::new(Mutex::new(0u64));
    let (tx, rx) = mpsc::channel();
    let threads: Vec<_> = (0..8u64).map(|t| {
        let (total, tx) = (total.clone(), tx.clone());
        thread::spawn(move || {
            let x = (0..20000u64).fold(t, |x, i| (x * 31 + i) % 1_000_003);
            *total.lock().unwrap() += x;
            tx.send(x).unwrap();
        })
    }).collect();
    drop(tx);
    for t in threads { t.join().unwrap(); }
    println!("threads {} {}", total.lock().unwrap(), rx.iter().sum::<u64>());
    panic::set_hook(Box::new(|_| {}));
    let caught = (0..100).filter(|i| panic::catch_unwind(|| { let v = vec![1, 2, 3]; v[i % 6] }).is_err()).count();
    println!("panics {caught}");
    println!("float {:.6} {:e}", (2.0f64).sqrt().sin(), 1.0f64 / 3.0);
    let out = process::Command::new("/bin/echo").arg("spawned").output().unwrap();
    print!("{}", String::from_utf8_lossy(&out.stdout));
    println!("{:?}", process::Command::new("/no/such/program").output().unwrap_err().kind());
}
