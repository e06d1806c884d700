//! The thread that sends metrics: it asks for them, sends them, and sleeps until the next time. They are sums since the
//! process began, so a request that is lost is a gap in time and nothing else: the next one says it all. Whatever the
//! collector does, operations go on; what could not be sent is counted and said once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokio::runtime::Runtime;

use crate::fork;
use crate::otlp::delivery::{deliver, runtime, Failures};
use crate::otlp::metrics::Sender;
use crate::settings::metrics::{Histograms, Settings};
use crate::worker::{Calls, Worker};

/// The messages that metrics are sent as.
pub use opentelemetry_proto::tonic::{common::v1 as common, metrics::v1 as messages};

/// What metrics are collected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Since when everything counts, in nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Up to when.
    pub now_unix_ns: u64,
    /// As what distributions are to be given.
    pub histograms: Histograms,
}

/// Gives the metrics of this process.
pub type Collect = fn(Window) -> Vec<messages::Metric>;

static COLLECT: OnceLock<(Collect, u64)> = OnceLock::new();

/// Says who gives the metrics; called once, when counting begins.
pub fn set_collect(collect: Collect) {
    let _ = COLLECT.set((collect, unix_ns()));
}

fn unix_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// What has become of metrics.
#[derive(Default)]
pub struct Counters {
    /// Requests that the collector took.
    pub exports: AtomicU64,
    /// Data points in them that it took.
    pub points: AtomicU64,
    /// Data points in requests that failed.
    pub lost: AtomicU64,
    /// Data points that it did not take from a request that it took.
    pub rejected: AtomicU64,
    /// Requests that failed.
    pub failures: Failures,
}

/// Metrics that are sent now and then.
pub struct Reporting {
    settings: Settings,
    counters: Arc<Counters>,
    generation: u64,
    worker: Worker,
}

/// Who sends metrics; its lock is held across forks.
pub type Control = Option<Reporting>;

static CONTROL: Mutex<Control> = Mutex::new(None);
/// The generation that sends metrics, so that others need not ask for the lock; none does at first.
static AT_WORK: AtomicU64 = AtomicU64::new(u64::MAX);

/// Holds the lock of this module.
pub fn hold() -> MutexGuard<'static, Control> {
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has metrics sent from now on. What was sent with other settings before is ended first.
///
/// # Errors
/// What is wrong with the settings, in words.
pub fn start(settings: Settings, patience: Duration) -> Result<(), String> {
    // What is wrong with the settings has to be said to the caller, not by the thread.
    let trial = runtime().map_err(|error| error.to_string())?;
    trial.block_on(async { Sender::to(&settings.to).map(drop) })?;
    drop(trial);
    stop(patience);
    let mut control = hold();
    *control = Some(Reporting::start(settings, Arc::default())?);
    AT_WORK.store(fork::generation(), Ordering::Release);
    Ok(())
}

/// Sends once more and ends, within the time. Returns whether it was done by then.
pub fn stop(patience: Duration) -> bool {
    let Some(reporting) = hold().take() else {
        return true;
    };
    AT_WORK.store(u64::MAX, Ordering::Release);
    if reporting.generation != fork::generation() {
        // The parent's; its thread does not exist here.
        std::mem::forget(reporting);
        return true;
    }
    reporting.worker.stop(patience)
}

/// Something begins to be measured in this process. In the child of a fork whose parent sent metrics, they are sent
/// from here on, too.
#[inline]
pub fn go_on_in_child() {
    let at_work = AT_WORK.load(Ordering::Acquire);
    if at_work != u64::MAX && at_work != fork::generation() {
        start_over();
    }
}

#[cold]
fn start_over() {
    let mut control = hold();
    let Some(parents) = control.take() else {
        return;
    };
    if parents.generation == fork::generation() {
        *control = Some(parents);
        return;
    }
    let settings = parents.settings.clone();
    std::mem::forget(parents);
    match Reporting::start(settings, Arc::default()) {
        Ok(reporting) => {
            AT_WORK.store(fork::generation(), Ordering::Release);
            *control = Some(reporting);
        }
        Err(error) => {
            AT_WORK.store(u64::MAX, Ordering::Release);
            log::warn!("metrics stop: {error}");
        }
    }
}

/// The settings and what has become of metrics, while they are sent.
#[must_use]
pub fn state() -> Option<(Settings, Arc<Counters>)> {
    let control = hold();
    let own = control.as_ref()?;
    let counters = match own.generation == fork::generation() {
        true => own.counters.clone(),
        false => Arc::default(),
    };
    Some((own.settings.clone(), counters))
}

impl Reporting {
    fn start(settings: Settings, counters: Arc<Counters>) -> Result<Reporting, String> {
        let calls = Arc::new(Calls::default());
        let work = (settings.clone(), counters.clone(), calls.clone());
        let worker = Worker::start("aerospike-metrics", calls, move || {
            let (settings, counters, calls) = work;
            run(&settings, &counters, &calls);
        })
        .map_err(|error| format!("the system gives no thread for exporting metrics: {error}"))?;
        Ok(Reporting {
            settings,
            counters,
            generation: fork::generation(),
            worker,
        })
    }
}

fn run(settings: &Settings, counters: &Counters, calls: &Calls) {
    let made = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let sender = runtime.block_on(async { Sender::to(&settings.to) })?;
            Ok((runtime, sender))
        });
    let (runtime, sender) = match made {
        Ok(made) => made,
        Err(error) => return counters.fail(0, error),
    };
    let mut due = Instant::now() + settings.interval;
    loop {
        let stopping = calls.is_stopping();
        if stopping || Instant::now() >= due {
            report(settings, counters, calls, (&runtime, &sender));
            // A collector that is slower than the interval gets what it can take.
            due = Instant::now() + settings.interval;
        }
        if stopping {
            break;
        }
        let rest = due.saturating_duration_since(Instant::now());
        calls.sleep(rest.max(Duration::from_millis(1)), || false);
    }
    // A name that is still being looked up must not keep anybody.
    runtime.shutdown_background();
}

fn report(
    settings: &Settings,
    counters: &Counters,
    calls: &Calls,
    (runtime, sender): (&Runtime, &Sender),
) {
    let Some((collect, start_unix_ns)) = COLLECT.get() else {
        return;
    };
    let metrics = collect(Window {
        start_unix_ns: *start_unix_ns,
        now_unix_ns: unix_ns(),
        histograms: settings.histograms,
    });
    let points: u64 = metrics.iter().map(points_of).sum();
    let patience = settings.export_timeout;
    match deliver(runtime, calls, patience, sender.send(metrics)) {
        Ok(taken) => {
            let rejected = taken.rejected.min(points);
            counters.exports.fetch_add(1, Ordering::Relaxed);
            counters
                .points
                .fetch_add(points - rejected, Ordering::Relaxed);
            counters.rejected.fetch_add(rejected, Ordering::Relaxed);
            if rejected > 0 {
                counters.fail(
                    0,
                    format!(
                        "{rejected} of {points} data points were not taken by {}: {}",
                        settings.to.endpoint, taken.remark
                    ),
                );
            } else {
                counters.failures.end();
            }
        }
        Err(error) => {
            let to = &settings.to.endpoint;
            counters.fail(points, format!("cannot send metrics to {to}: {error}"));
        }
    }
}

fn points_of(metric: &messages::Metric) -> u64 {
    let points = match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    };
    points as u64
}

impl Counters {
    fn fail(&self, points: u64, error: String) {
        self.lost.fetch_add(points, Ordering::Relaxed);
        self.failures.add(
            error,
            "operations go on and are counted, and the next export says what this one should have \
             (metrics_export_stats()); check that the collector runs and OTEL_EXPORTER_OTLP_ENDPOINT",
        );
    }
}
