//! tokio::process::Command, on one thread or on several.

use crate::{Clock, Job, child_path, mark};
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    runtime::Builder,
    task::JoinSet,
};

pub fn perform(job: &Job, mut builder: Builder) {
    let job = job.clone();
    let runtime = builder.enable_all().build().unwrap();
    // In a task of its own: block_on's is not moved between threads.
    runtime.block_on(async { tokio::spawn(measure(job)).await.unwrap() });
}

async fn measure(job: Job) {
    if job.is("memory") {
        mark("fresh");
    }
    if job.is_held() {
        work(&job, job.warmup).await;
    }
    let held = job.hold();
    work(&job, job.warmup).await;
    if job.is("memory") {
        mark("warm");
    }
    let clock = Clock::start();
    work(&job, job.count).await;
    let line = clock.stop();
    if job.is("memory") {
        mark("end");
        tokio::time::sleep(Duration::from_secs(1)).await;
        mark("idle");
    }
    println!("{line}");
    drop(held);
}

async fn work(job: &Job, count: usize) {
    match job.workload.as_str() {
        "parallel" | "memory" => parallel(count, job.size).await,
        "out" => drain(count).await,
        "in" => feed(count).await,
        "line" | "block" => {
            for _ in 0..count {
                capture(job).await;
            }
        }
        _ => {
            for _ in 0..count {
                run().await;
            }
        }
    }
}

async fn run() {
    assert!(Command::new(child_path("tiny")).status().await.unwrap().success());
}

async fn parallel(count: usize, tasks: usize) {
    let left = Arc::new(AtomicIsize::new(count as isize));
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let left = left.clone();
        set.spawn(async move {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                run().await
            }
        });
    }
    while let Some(result) = set.join_next().await {
        result.unwrap();
    }
}

async fn capture(job: &Job) {
    let mut command = Command::new(child_path(&job.workload));
    command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let output = command.output().await.unwrap();
    assert!(output.status.success() && output.stdout.len() == job.size);
}

async fn drain(mebibytes: usize) {
    let mut command = Command::new(child_path("source"));
    let mut child = command.arg(mebibytes.to_string()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut chunk = vec![0u8; 1 << 20];
    let mut total = 0;
    loop {
        match stdout.read(&mut chunk).await.unwrap() {
            0 => break,
            length => total += length,
        }
    }
    assert!(child.wait().await.unwrap().success() && total == mebibytes << 20);
}

async fn feed(mebibytes: usize) {
    let mut command = Command::new(child_path("sink"));
    let mut child = command.arg(mebibytes.to_string()).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..mebibytes * 16 {
        stdin.write_all(&chunk).await.unwrap();
    }
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
}
