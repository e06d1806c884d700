//! What a round took: latencies by outcome, processor time, memory, and a tick per second; as `usage.py` has it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value as Json};

use super::histogram::Histogram;
use super::work::{timed_out, ERROR, OUTCOMES, TIMEOUT};
use crate::usage::{self, Usage};
use crate::Fallible;

const TICK: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);
const PAGE: u64 = 4_096;

/// What one thread or task did.
#[derive(Default)]
pub struct Tally {
    samples_ns: [Vec<u64>; OUTCOMES.len()],
    service_ns: Vec<u64>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    pub fn record(&mut self, outcome: usize, latency: Duration) {
        self.samples_ns[outcome].push(latency.as_nanos() as u64);
    }

    pub fn served(&mut self, took: Duration) {
        self.service_ns.push(took.as_nanos() as u64);
    }

    /// Counts an error; returns the outcome that its latency belongs to.
    pub fn failed(&mut self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> usize {
        *self.errors.entry(error.to_string()).or_default() += 1;
        if timed_out(error) {
            TIMEOUT
        } else {
            ERROR
        }
    }
}

fn status_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * PAGE
}

/// Wall time, processor time and memory of the process, from its creation on.
pub struct Meter {
    resident: u64,
    usage: Usage,
    pub started: Instant,
}

impl Meter {
    pub fn start() -> Fallible<Self> {
        // Forgets the peak so far. Where that is not allowed, the peak is that of the process.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Ok(Self {
            resident: resident_bytes(),
            usage: usage::now()?,
            started: Instant::now(),
        })
    }

    /// The reply to the call `round`.
    pub fn result(&self, ended: Instant, tallies: &[Tally], ticks: Vec<Json>) -> Fallible<Json> {
        let after = usage::now()?;
        let (resident, peak) = (resident_bytes(), status_bytes("VmHWM:"));
        let mut histograms = Map::new();
        let (mut operations, mut samples) = (0, 0);
        for (outcome, name) in OUTCOMES.iter().enumerate() {
            let mut histogram = Histogram::default();
            for value in tallies.iter().flat_map(|tally| &tally.samples_ns[outcome]) {
                histogram.record(*value);
                operations += 1;
            }
            if !histogram.is_empty() {
                histograms.insert((*name).to_owned(), histogram.json());
            }
        }
        let mut service = Histogram::default();
        for value in tallies.iter().flat_map(|tally| &tally.service_ns) {
            service.record(*value);
            samples += 1;
        }
        let mut errors = BTreeMap::<&str, u64>::new();
        for (text, count) in tallies.iter().flat_map(|tally| &tally.errors) {
            *errors.entry(text).or_default() += count;
        }
        Ok(json!({
            "operations": operations,
            "wall_ns": (ended - self.started).as_nanos() as u64,
            "cpu_ns": after.cpu_ns - self.usage.cpu_ns,
            "voluntary_switches": after.voluntary - self.usage.voluntary,
            "involuntary_switches": after.involuntary - self.usage.involuntary,
            "resident_before_bytes": self.resident,
            "resident_after_bytes": resident,
            "resident_peak_bytes": peak,
            "samples_bytes": 8 * (operations + samples),
            "allocated_blocks": Json::Null,
            "histograms": histograms,
            "service": if service.is_empty() { Json::Null } else { service.json() },
            "errors": errors,
            "ticks": ticks,
            "stages": Json::Null,
        }))
    }
}

/// What is counted while a round runs.
#[derive(Default)]
pub struct Counts {
    pub done: AtomicU64,
    pub errors: AtomicU64,
}

/// A tick per second from a thread of its own.
pub struct Ticker {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<Fallible<Vec<Json>>>,
}

impl Ticker {
    pub fn start(counts: Vec<Arc<Counts>>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let (mut ticks, mut last, mut cpu) = (Vec::new(), 0, usage::now()?.cpu_ns);
            while !flag.load(Ordering::Acquire) {
                thread::sleep(POLL);
                if started.elapsed() < TICK * (ticks.len() as u32 + 1) {
                    continue;
                }
                let sum = |of: fn(&Counts) -> &AtomicU64| -> u64 {
                    counts
                        .iter()
                        .map(|each| of(each).load(Ordering::Relaxed))
                        .sum()
                };
                let (done, now) = (sum(|each| &each.done), usage::now()?.cpu_ns);
                let tick = json!({
                    "at_ns": started.elapsed().as_nanos() as u64,
                    "operations": done - last,
                    "errors": sum(|each| &each.errors),
                    "cpu_ns": now - cpu,
                });
                (last, cpu) = (done, now);
                crate::reply(&json!({ "tick": tick }))?;
                ticks.push(tick);
            }
            Ok(ticks)
        });
        Self { over, thread }
    }

    pub fn stop(self) -> Fallible<Vec<Json>> {
        self.over.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "the ticker panicked")?
    }
}
