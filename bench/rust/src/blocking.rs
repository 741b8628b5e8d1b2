//! std::process::Command.

use crate::{Clock, Job, child_path, mark};
use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicIsize, Ordering},
    thread,
    time::Duration,
};

pub fn perform(job: &Job) {
    if job.is("startup") {
        return run();
    }
    if job.is("memory") {
        mark("fresh");
    }
    if job.is_held() {
        work(job, job.warmup);
    }
    let held = job.hold();
    work(job, job.warmup);
    if job.is("memory") {
        mark("warm");
    }
    let clock = Clock::start();
    work(job, job.count);
    let line = clock.stop();
    if job.is("memory") {
        mark("end");
        thread::sleep(Duration::from_secs(1));
        mark("idle");
    }
    println!("{line}");
    drop(held);
}

fn work(job: &Job, count: usize) {
    match job.workload.as_str() {
        "parallel" | "memory" => parallel(count, job.size),
        "line" | "block" => (0..count).for_each(|_| capture(job)),
        "out" => drain(count),
        "in" => feed(count),
        _ => (0..count).for_each(|_| run()),
    }
}

fn run() {
    assert!(Command::new(child_path("tiny")).status().unwrap().success());
}

fn parallel(count: usize, threads: usize) {
    let left = AtomicIsize::new(count as isize);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                    run()
                }
            });
        }
    });
}

fn capture(job: &Job) {
    let mut command = Command::new(child_path(&job.workload));
    let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success() && output.stdout.len() == job.size);
}

fn drain(mebibytes: usize) {
    let mut command = Command::new(child_path("source"));
    let mut child = command.arg(mebibytes.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut chunk = vec![0u8; 1 << 20];
    let mut total = 0;
    loop {
        match stdout.read(&mut chunk).unwrap() {
            0 => break,
            length => total += length,
        }
    }
    assert!(child.wait().unwrap().success() && total == mebibytes << 20);
}

fn feed(mebibytes: usize) {
    let mut command = Command::new(child_path("sink"));
    let mut child = command.arg(mebibytes.to_string()).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..mebibytes * 16 {
        stdin.write_all(&chunk).unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
