//! Closed and open loops on threads and on tasks, as `benchmark/harness/loops.py` has them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value as Json};

use super::data::mix;
use super::tally::{Counts, Meter, Tally, Ticker};
use super::work::UNFINISHED;
use super::{Lane, Worker};
use crate::Fallible;

const ARRIVAL_SALT: u64 = 0xA5A5_0003;
const LEAD: Duration = Duration::from_millis(5);

/// How often operations are done, and when a round ends.
pub enum Load {
    Closed {
        seconds: Option<f64>,
        share: u64,
    },
    Open {
        offsets: Arc<Vec<u64>>,
        drain: Duration,
    },
}

impl Load {
    pub fn parse(request: &Json, workers: u64) -> Fallible<Self> {
        let load = &request["load"];
        let seconds = request["seconds"].as_f64();
        if load["kind"] != "open" {
            let operations = request["operations"].as_u64();
            let share = operations.map_or(u64::MAX, |all| (all / workers.max(1)).max(1));
            return Ok(Load::Closed { seconds, share });
        }
        let (Some(rate), Some(seconds)) = (load["rate"].as_f64(), seconds) else {
            return Err("an open loop has a rate and a number of seconds".into());
        };
        let offsets = match load["arrivals"].as_str() {
            Some("constant") => {
                let count = (rate * seconds).ceil() as u64;
                (0..count)
                    .map(|number| (number as f64 * 1e9 / rate) as u64)
                    .collect()
            }
            Some("poisson") => poisson(rate, seconds, load["seed"].as_u64().unwrap_or_default()),
            _ => return Err("arrivals are poisson or constant".into()),
        };
        let drain = Duration::from_secs_f64(load["drain_seconds"].as_f64().unwrap_or_default());
        Ok(Load::Open {
            offsets: Arc::new(offsets),
            drain,
        })
    }
}

fn poisson(rate: f64, seconds: f64, seed: u64) -> Vec<u64> {
    let (mut found, mut at, end) = (Vec::new(), 0.0, seconds * 1e9);
    for number in 0.. {
        let random = mix((seed << 32) ^ number ^ (ARRIVAL_SALT << 8)) >> 11;
        at -= ((random as f64 + 0.5) / 2f64.powi(53)).ln() / rate * 1e9;
        if at >= end {
            break;
        }
        found.push(at as u64);
    }
    found
}

/// A round; the reply to the call.
pub fn run(lane: &Lane, load: &Load) -> Fallible<Json> {
    match (load, lane.on_threads) {
        (Load::Closed { seconds, share }, true) => {
            let (seconds, share, handle) = (*seconds, *share, lane.runtime.handle().clone());
            on_threads(lane, Duration::ZERO, move |worker, counts, _| {
                handle.block_on(closed(worker, counts, seconds, share))
            })
        }
        (Load::Open { offsets, drain }, true) => {
            let (next, drain, handle) =
                (AtomicUsize::new(0), *drain, lane.runtime.handle().clone());
            let (next, taken) = (Arc::new(next), Arc::clone(offsets));
            let serve = move |worker: &Arc<Worker>, counts: &Counts, start| {
                serve(worker, counts, &handle, (&taken, &next), start, drain)
            };
            let mut result = on_threads(lane, LEAD, serve)?;
            result["arrivals"] = json!(offsets.len());
            Ok(result)
        }
        (Load::Closed { seconds, share }, false) => {
            let counts: Vec<_> = lane
                .workers
                .iter()
                .map(|_| Arc::new(Counts::default()))
                .collect();
            let ticker = Ticker::start(counts.clone());
            let meter = Meter::start()?;
            let tallies = lane.runtime.block_on(async {
                let pairs = lane.workers.iter().cloned().zip(counts);
                let (seconds, share) = (*seconds, *share);
                let tasks: Vec<_> = pairs
                    .map(|(worker, counts)| {
                        tokio::spawn(async move { closed(&worker, &counts, seconds, share).await })
                    })
                    .collect();
                let mut tallies = Vec::new();
                for task in tasks {
                    tallies.push(task.await?);
                }
                Fallible::Ok(tallies)
            })?;
            let ended = Instant::now();
            meter.result(ended, &tallies, ticker.stop()?)
        }
        (Load::Open { offsets, drain }, false) => arriving(lane, offsets, *drain),
    }
}

fn on_threads(
    lane: &Lane,
    lead: Duration,
    run: impl Fn(&Arc<Worker>, &Counts, Instant) -> Tally + Send + Sync + 'static,
) -> Fallible<Json> {
    let run = Arc::new(run);
    let counts: Vec<_> = lane
        .workers
        .iter()
        .map(|_| Arc::new(Counts::default()))
        .collect();
    let gate = Arc::new(Barrier::new(lane.workers.len() + 1));
    let (tell, told): (Vec<_>, Vec<_>) = lane.workers.iter().map(|_| mpsc::channel()).unzip();
    let threads: Vec<_> = lane
        .workers
        .iter()
        .zip(&counts)
        .zip(told)
        .map(|((worker, counts), told)| {
            let (worker, counts) = (Arc::clone(worker), Arc::clone(counts));
            let (gate, run) = (Arc::clone(&gate), Arc::clone(&run));
            thread::spawn(move || {
                gate.wait();
                told.recv().map(|start| run(&worker, &counts, start))
            })
        })
        .collect();
    let ticker = Ticker::start(counts);
    gate.wait();
    let meter = Meter::start()?;
    for start in tell {
        start.send(meter.started + lead)?;
    }
    let mut tallies = Vec::new();
    for thread in threads {
        tallies.push(thread.join().map_err(|_| "a thread panicked")??);
    }
    let ended = Instant::now();
    meter.result(ended, &tallies, ticker.stop()?)
}

async fn operation(worker: &Worker, counts: &Counts, tally: &mut Tally) -> usize {
    counts.done.fetch_add(1, Ordering::Relaxed);
    match worker.operations.next(&worker.client).await {
        Ok(found) => found.outcome(),
        Err(error) => {
            counts.errors.fetch_add(1, Ordering::Relaxed);
            tally.failed(error.as_ref())
        }
    }
}

async fn closed(worker: &Worker, counts: &Counts, seconds: Option<f64>, share: u64) -> Tally {
    let mut tally = Tally::default();
    let mut before = Instant::now();
    let deadline = seconds.map(|seconds| before + Duration::from_secs_f64(seconds));
    let mut left = share;
    while left > 0 {
        left -= 1;
        let outcome = operation(worker, counts, &mut tally).await;
        let now = Instant::now();
        tally.record(outcome, now - before);
        before = now;
        // Looked at last: a thread that begins when the round is over does one operation even so.
        if deadline.is_some_and(|deadline| now >= deadline) {
            break;
        }
    }
    tally
}

fn serve(
    worker: &Worker,
    counts: &Counts,
    handle: &tokio::runtime::Handle,
    (offsets, next): (&[u64], &AtomicUsize),
    start: Instant,
    drain: Duration,
) -> Tally {
    let mut tally = Tally::default();
    let end = start + Duration::from_nanos(offsets.last().copied().unwrap_or(0)) + drain;
    while let Some(&offset) = offsets.get(next.fetch_add(1, Ordering::Relaxed)) {
        let intended = start + Duration::from_nanos(offset);
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        if began >= end {
            tally.record(UNFINISHED, began - intended);
            continue;
        }
        let outcome = handle.block_on(operation(worker, counts, &mut tally));
        let now = Instant::now();
        tally.record(outcome, now - intended);
        tally.served(now - began);
    }
    tally
}

/// An open loop of tasks. A thread sleeps until each arrival, as the runtime's own timers are rounded to milliseconds.
fn arriving(lane: &Lane, offsets: &[u64], drain: Duration) -> Fallible<Json> {
    let counts = Arc::new(Counts::default());
    let ticker = Ticker::start(vec![Arc::clone(&counts)]);
    let meter = Meter::start()?;
    let start = meter.started + LEAD;
    let mut tasks = Vec::with_capacity(offsets.len());
    for (number, offset) in offsets.iter().enumerate() {
        let intended = start + Duration::from_nanos(*offset);
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        let worker = Arc::clone(&lane.workers[number % lane.workers.len()]);
        let counts = Arc::clone(&counts);
        let task = lane.runtime.spawn(async move {
            let began = Instant::now();
            let mut tally = Tally::default();
            let outcome = operation(&worker, &counts, &mut tally).await;
            let now = Instant::now();
            tally.record(outcome, now - intended);
            tally.served(now - began);
            tally
        });
        tasks.push((intended, task));
    }
    let end = Instant::now() + drain;
    let mut tallies = Vec::with_capacity(tasks.len());
    lane.runtime.block_on(async {
        for (intended, mut task) in tasks {
            match tokio::time::timeout_at(end.into(), &mut task).await {
                Ok(tally) => tallies.push(tally?),
                Err(_) => {
                    task.abort();
                    let mut tally = Tally::default();
                    tally.record(UNFINISHED, Instant::now() - intended);
                    tallies.push(tally);
                }
            }
        }
        Fallible::Ok(())
    })?;
    let ended = Instant::now();
    let mut result = meter.result(ended, &tallies, ticker.stop()?)?;
    result["arrivals"] = json!(offsets.len());
    Ok(result)
}
