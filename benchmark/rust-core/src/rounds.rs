//! Closed loops on threads and on tasks, and the figures of a round.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use aerospike_core::{Client, ClientPolicy};
use serde_json::{json, Value as Json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;

use crate::operations::{Found, Kind, Operations};
use crate::usage::{self, Usage};
use crate::Fallible;

const MOST_ERRORS: u64 = 1_000;

/// When a round ends.
#[derive(Clone, Copy)]
pub struct Limit {
    pub seconds: Option<f64>,
    /// Of all threads or tasks together.
    pub operations: Option<u64>,
}

/// What one thread or task did.
#[derive(Default)]
struct Tally {
    samples_ns: Vec<u64>,
    errors: u64,
    first_error: String,
}

/// One thread or task: a client, and its own operations.
struct Worker {
    client: Arc<Client>,
    operations: Mutex<Operations>,
}

/// Who polls the driver's futures.
enum Drivers {
    /// One runtime of many threads; each calling thread blocks on a future of its own.
    Threads(Arc<Runtime>),
    /// One single-threaded runtime and one client per calling thread.
    OwnRuntimes(Vec<Arc<Runtime>>),
    /// One runtime of many threads; each worker is a task.
    Tasks(Arc<Runtime>),
}

/// Where to connect to, and how.
#[derive(Clone)]
pub struct Server {
    pub hosts: String,
    pub policy: ClientPolicy,
}

/// A connected lane.
pub struct Lane {
    server: Server,
    kind: Kind,
    drivers: Drivers,
    workers: Vec<Arc<Worker>>,
}

async fn connect(server: &Server) -> Fallible<Arc<Client>> {
    let client = Client::new(&server.policy, &server.hosts).await?;
    Ok(Arc::new(client))
}

async fn worker(client: &Arc<Client>, kind: Kind, slot: usize) -> Fallible<Arc<Worker>> {
    Ok(Arc::new(Worker {
        client: Arc::clone(client),
        operations: Mutex::new(Operations::prepare(client, kind, slot).await?),
    }))
}

fn shared_runtime() -> Fallible<Arc<Runtime>> {
    Ok(Arc::new(Builder::new_multi_thread().enable_all().build()?))
}

impl Lane {
    pub fn threads(server: &Server, kind: Kind, count: usize) -> Fallible<Self> {
        let runtime = shared_runtime()?;
        let workers = Self::sharing(&runtime, server, kind, count)?;
        Ok(Self::of(server, kind, Drivers::Threads(runtime), workers))
    }

    pub fn tasks(server: &Server, kind: Kind, count: usize) -> Fallible<Self> {
        let runtime = shared_runtime()?;
        let workers = Self::sharing(&runtime, server, kind, count)?;
        Ok(Self::of(server, kind, Drivers::Tasks(runtime), workers))
    }

    pub fn threads_with_runtimes(server: &Server, kind: Kind, count: usize) -> Fallible<Self> {
        let (mut runtimes, mut workers) = (Vec::new(), Vec::new());
        for slot in 0..count {
            let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
            let client = runtime.block_on(connect(server))?;
            workers.push(runtime.block_on(worker(&client, kind, slot))?);
            runtimes.push(runtime);
        }
        Ok(Self::of(
            server,
            kind,
            Drivers::OwnRuntimes(runtimes),
            workers,
        ))
    }

    fn of(server: &Server, kind: Kind, drivers: Drivers, workers: Vec<Arc<Worker>>) -> Self {
        Self {
            server: server.clone(),
            kind,
            drivers,
            workers,
        }
    }

    fn sharing(
        runtime: &Runtime,
        server: &Server,
        kind: Kind,
        count: usize,
    ) -> Fallible<Vec<Arc<Worker>>> {
        runtime.block_on(async {
            let client = connect(server).await?;
            let mut workers = Vec::new();
            for slot in 0..count {
                workers.push(worker(&client, kind, slot).await?);
            }
            Ok(workers)
        })
    }

    pub fn name(&self) -> &'static str {
        match self.drivers {
            Drivers::Threads(_) => "threads that block on one shared runtime",
            Drivers::OwnRuntimes(_) => "threads with a runtime and a client each",
            Drivers::Tasks(_) => "tasks on one shared runtime",
        }
    }

    /// The results of the first operations, by a client of its own.
    pub fn verify(&self, operations: u64) -> Fallible<Vec<Found>> {
        Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                let client = connect(&self.server).await?;
                let mut first = Operations::prepare(&client, self.kind, 0).await?;
                let mut results = Vec::new();
                for _ in 0..operations {
                    results.push(first.next(&client).await?);
                }
                client.close().await?;
                Ok(results)
            })
    }

    pub fn round(&self, limit: Limit) -> Fallible<Json> {
        match &self.drivers {
            Drivers::Threads(runtime) => self.on_threads(limit, |_| Arc::clone(runtime)),
            Drivers::OwnRuntimes(runtimes) => {
                self.on_threads(limit, |slot| Arc::clone(&runtimes[slot]))
            }
            Drivers::Tasks(runtime) => {
                let before = usage::now()?;
                let started = Instant::now();
                let share = self.share(limit);
                let tallies = runtime.block_on(async {
                    let tasks: Vec<_> = self
                        .workers
                        .iter()
                        .map(|worker| tokio::spawn(work(Arc::clone(worker), limit.seconds, share)))
                        .collect();
                    let mut tallies = Vec::new();
                    for task in tasks {
                        tallies.push(task.await?);
                    }
                    Fallible::Ok(tallies)
                })?;
                figures(started.elapsed(), before, tallies)
            }
        }
    }

    fn on_threads(
        &self,
        limit: Limit,
        runtime_of: impl Fn(usize) -> Arc<Runtime>,
    ) -> Fallible<Json> {
        let share = self.share(limit);
        let gate = Arc::new(Barrier::new(self.workers.len() + 1));
        let threads: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .map(|(slot, worker)| {
                let (worker, gate, runtime) =
                    (Arc::clone(worker), Arc::clone(&gate), runtime_of(slot));
                thread::spawn(move || {
                    gate.wait();
                    runtime.block_on(work(worker, limit.seconds, share))
                })
            })
            .collect();
        let before = usage::now()?;
        gate.wait();
        let started = Instant::now();
        let mut tallies = Vec::new();
        for thread in threads {
            tallies.push(thread.join().map_err(|_| "a thread panicked")?);
        }
        figures(started.elapsed(), before, tallies)
    }

    fn share(&self, limit: Limit) -> u64 {
        limit.operations.map_or(u64::MAX, |all| {
            (all / self.workers.len().max(1) as u64).max(1)
        })
    }

    pub fn close(&self) -> Fallible<()> {
        match &self.drivers {
            Drivers::Threads(runtime) | Drivers::Tasks(runtime) => match self.workers.first() {
                Some(worker) => Ok(runtime.block_on(worker.client.close())?),
                None => Ok(()),
            },
            Drivers::OwnRuntimes(runtimes) => {
                for (runtime, worker) in runtimes.iter().zip(&self.workers) {
                    runtime.block_on(worker.client.close())?;
                }
                Ok(())
            }
        }
    }
}

async fn work(worker: Arc<Worker>, seconds: Option<f64>, share: u64) -> Tally {
    let mut operations = worker.operations.lock().await;
    let mut tally = Tally::default();
    let mut before = Instant::now();
    let deadline = seconds.map(|seconds| before + Duration::from_secs_f64(seconds));
    let mut left = share;
    while left > 0 && deadline.is_none_or(|deadline| before < deadline) {
        left -= 1;
        match operations.next(&worker.client).await {
            Ok(found) => {
                drop(found);
                let now = Instant::now();
                tally.samples_ns.push((now - before).as_nanos() as u64);
                before = now;
            }
            Err(error) => {
                tally.errors += 1;
                if tally.first_error.is_empty() {
                    tally.first_error = error.to_string();
                }
                if tally.errors >= MOST_ERRORS {
                    break;
                }
                before = Instant::now();
            }
        }
    }
    tally
}

fn figures(wall: Duration, before: Usage, tallies: Vec<Tally>) -> Fallible<Json> {
    let after = usage::now()?;
    let errors: u64 = tallies.iter().map(|tally| tally.errors).sum();
    let first_error = tallies
        .iter()
        .map(|tally| tally.first_error.clone())
        .find(|error| !error.is_empty())
        .unwrap_or_default();
    let mut samples: Vec<u64> = tallies
        .into_iter()
        .flat_map(|tally| tally.samples_ns)
        .collect();
    samples.sort_unstable();
    Ok(json!({
        "operations": samples.len(),
        "wall_ns": wall.as_nanos() as u64,
        "cpu_ns": after.cpu_ns - before.cpu_ns,
        "p50_ns": percentile(&samples, 0.5),
        "p99_ns": percentile(&samples, 0.99),
        "p999_ns": percentile(&samples, 0.999),
        "max_ns": samples.last().copied().unwrap_or(0),
        "voluntary_switches": after.voluntary - before.voluntary,
        "involuntary_switches": after.involuntary - before.involuntary,
        "errors": errors,
        "first_error": first_error,
    }))
}

/// The smallest sample that at least this part of all samples does not exceed.
fn percentile(ordered: &[u64], quantile: f64) -> u64 {
    let rank = (quantile * ordered.len() as f64).ceil() as usize;
    let last = ordered.len().saturating_sub(1);
    ordered
        .get(rank.saturating_sub(1).min(last))
        .copied()
        .unwrap_or(0)
}
