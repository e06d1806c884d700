//! Tokio's runtime, as `tokio-metrics` and one small task per look see it. What Tokio counts only with
//! `tokio_unstable` (polls and queues of each worker) is left out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use aerospike_rt::monitor;
use aerospike_stages::clock;
use tokio::runtime::Handle;
use tokio_metrics::{RuntimeMetrics, RuntimeMonitor};

use crate::lanes::runtime::started;
use crate::probes::series::{self, Series};
use crate::probes::table::Probe;

type Intervals = Box<dyn Iterator<Item = RuntimeMetrics> + Send>;

/// The series about the runtime.
pub struct Runtime {
    /// The runtime, once there is one, and what it did between two looks.
    running: Option<(Handle, Intervals)>,
    parks: u64,
    polls: (u64, Duration),
    looked: u64,
    busy_ratio: Arc<Series>,
    queue_depth: Arc<Series>,
    parked: Arc<Series>,
    poll_duration: Arc<Series>,
    turn: Arc<Turn>,
}

/// A task that waits for its first poll; there is one at most.
struct Turn {
    delay: Arc<Series>,
    waiting: AtomicBool,
}

impl Runtime {
    /// Has tasks watched from now on.
    pub fn new() -> Self {
        monitor::watch(true);
        Runtime {
            running: None,
            parks: 0,
            polls: polls(),
            looked: clock::now_ns(),
            busy_ratio: series::of(Probe::RuntimeBusyRatio, None),
            queue_depth: series::of(Probe::RuntimeQueueDepth, None),
            parked: series::of(Probe::RuntimeParks, None),
            poll_duration: series::of(Probe::RuntimePollDuration, None),
            turn: Arc::new(Turn {
                delay: series::of(Probe::RuntimeScheduleDelay, None),
                waiting: AtomicBool::new(false),
            }),
        }
    }

    /// Looks once.
    pub fn look(&mut self) {
        if self.running.is_none() {
            self.running = started().map(|handle| {
                let intervals = RuntimeMonitor::new(&handle).intervals();
                (handle, Box::new(intervals) as Intervals)
            });
        }
        let Some((handle, intervals)) = &mut self.running else {
            return;
        };
        self.turn.ask(handle);
        let (now, since) = (clock::now_ns(), self.looked);
        self.looked = now;
        if let Some(metrics) = intervals.next() {
            let workers = metrics.workers_count.max(1) as f64;
            let possible = metrics.elapsed.as_secs_f64() * workers;
            let busy = metrics.total_busy_duration.as_secs_f64();
            if possible > 0.0 {
                self.busy_ratio.stands_at(now, (busy / possible).min(1.0));
            }
            self.queue_depth
                .stands_at(now, metrics.global_queue_depth as f64);
            self.parks += metrics.total_park_count;
            self.parked.stands_at(now, self.parks as f64);
        }
        let (before, after) = (self.polls, polls());
        self.polls = after;
        if after.0 > before.0 {
            let mean = (after.1 - before.1).as_nanos() / u128::from(after.0 - before.0);
            self.poll_duration.took(since, mean as u64);
        }
    }
}

impl Turn {
    /// Asks for the runtime's attention, unless an earlier request is still waiting.
    fn ask(self: &Arc<Self>, runtime: &Handle) {
        if self.waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        let turn = self.clone();
        let asked = clock::now_ns();
        runtime.spawn(async move {
            let nanos = clock::now_ns().saturating_sub(asked);
            turn.delay.took(asked, nanos);
            turn.waiting.store(false, Ordering::Release);
        });
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        monitor::watch(false);
    }
}

/// How many polls there have been of the operations' tasks that are watched, and how long they took.
fn polls() -> (u64, Duration) {
    let seen = monitor::seen();
    seen.map_or((0, Duration::ZERO), |seen| {
        (seen.total_poll_count, seen.total_poll_duration)
    })
}
