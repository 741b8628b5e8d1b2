//! The contestants in Rust: the standard library and tokio.
//!
//!     rust VARIANT WORKLOAD COUNT WARMUP SIZE
//!
//! What the arguments mean, and the line of JSON that every contestant prints, is told in
//! driver/workloads.mjs.

mod blocking;
mod tasks;

use std::{
    env,
    fs::File,
    io::{Read, stdin},
    path::PathBuf,
    time::Instant,
};

#[derive(Clone)]
pub struct Job {
    pub workload: String,
    pub count: usize,
    pub warmup: usize,
    pub size: usize,
}

/// The clock, running.
pub struct Clock {
    begin: Instant,
    cpu_begin: f64,
}

impl Job {
    pub fn is_held(&self) -> bool {
        self.is("heap") || self.is("descriptors")
    }

    pub fn is(&self, workload: &str) -> bool {
        self.workload == workload
    }

    /// What to hold while starting others.
    pub fn hold(&self) -> (Vec<u8>, Vec<File>) {
        let mut heap = Vec::new();
        let mut descriptors = Vec::new();
        if self.is("heap") {
            heap = vec![0u8; self.size << 20];
            for page in heap.iter_mut().step_by(4096) {
                *page = 1;
            }
        } else if self.is("descriptors") {
            descriptors.extend((0..self.size).map(|_| File::open("/dev/null").unwrap()));
        }
        (heap, descriptors)
    }
}

impl Clock {
    pub fn start() -> Self {
        Self { begin: Instant::now(), cpu_begin: cpu() }
    }

    /// What is to be printed.
    pub fn stop(self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64();
        let cpu = cpu() - self.cpu_begin;
        format!(r#"{{"seconds":{seconds:.9},"cpu":{cpu:.6}}}"#)
    }
}

pub fn child_path(name: &str) -> PathBuf {
    PathBuf::from(env::var_os("BENCH_CHILDREN").unwrap()).join(name)
}

/// The driver looks at this process, and then lets it go on.
pub fn mark(name: &str) {
    eprintln!("MARK {name}");
    stdin().lock().read_exact(&mut [0]).unwrap();
}

fn cpu() -> f64 {
    // SAFETY: getrusage fills in what it is given, and zeros are a valid rusage.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = |index: usize| arguments[index].parse().unwrap();
    let workload = arguments[2].clone();
    let job = Job { workload, count: number(3), warmup: number(4), size: number(5) };
    match arguments[1].as_str() {
        "std" => blocking::perform(&job),
        "tokio" => tasks::perform(&job, tokio::runtime::Builder::new_current_thread()),
        "tokio-threads" => tasks::perform(&job, tokio::runtime::Builder::new_multi_thread()),
        variant => panic!("no variant is called {variant}"),
    }
}
