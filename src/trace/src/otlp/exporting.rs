//! The thread that sends spans. It takes operations out of its queue, makes spans of them and sends those; whatever the
//! collector does, operations go on, and what could not be sent is counted and said once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::runtime::Runtime;

use crate::block::Block;
use crate::ended::{Converted, Ended};
use crate::frame;
use crate::otlp::delivery::{deliver, runtime, Failures};
use crate::otlp::exporter::exporter;
use crate::otlp::spans::Spans;
use crate::outlet::{Outlet, Queue};
use crate::sampling::{Limit, Sampler, Tail};
use crate::settings::traces::Settings;
use crate::slow::Percentiles;

/// How often percentiles are looked at, and how often they forget.
const RENEWED: Duration = Duration::from_secs(1);
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What has become of spans.
#[derive(Default)]
pub struct Counters {
    /// Operations that were sent.
    pub operations: AtomicU64,
    /// Spans that were sent.
    pub spans: AtomicU64,
    /// Operations in requests that failed.
    pub lost: AtomicU64,
    /// Operations that were still waiting when the time for shutting down was over.
    pub left: AtomicU64,
    /// Conversions whose operation is no longer remembered, so that nobody knows where their span belongs.
    pub orphans: AtomicU64,
    /// Requests that failed.
    pub failures: Failures,
}

/// An exporter at work.
pub struct Exporting {
    settings: Settings,
    tail: Option<Arc<Tail>>,
    counters: Arc<Counters>,
    outlet: Outlet,
}

impl Exporting {
    /// Starts exporting.
    ///
    /// # Errors
    /// What is wrong with the settings, in words.
    pub fn start(settings: Settings) -> Result<Arc<Exporting>, String> {
        // What is wrong with the settings has to be said to the caller, not by the thread.
        let trial = runtime().map_err(|error| error.to_string())?;
        trial.block_on(async { exporter(&settings.to).map(drop) })?;
        drop(trial);
        let tail = settings.tail.map(|tail| {
            Arc::new(Tail {
                slow_ns: tail.slow.map(|slow| slow.as_nanos() as u64),
                percentiles: tail.quantile.map(Percentiles::new),
                limit: Limit::new(tail.per_second),
                overrides_parent: tail.overrides_parent,
                over_limit: AtomicU64::new(0),
            })
        });
        let counters = Arc::new(Counters::default());
        let work = (settings.clone(), tail.clone(), counters.clone());
        let start = move |queue: Arc<Queue>| {
            let (settings, tail, counters) = work.clone();
            queue.emptied_by("aerospike-otlp", move |queue| {
                run(queue, &settings, tail.as_deref(), &counters);
            })
        };
        let outlet = Outlet::start(settings.queue, settings.queue, start)
            .map_err(|error| format!("the system gives no thread for exporting spans: {error}"))?;
        Ok(Arc::new(Exporting {
            settings,
            tail,
            counters,
            outlet,
        }))
    }

    /// Leaves an operation or a conversion for export; `false` if there is no room.
    #[inline]
    pub fn put(&self, add: impl FnOnce(&mut Block)) -> bool {
        self.outlet.put(add)
    }

    /// Decides when an operation begins.
    #[inline]
    #[must_use]
    pub fn sampler(&self) -> Sampler {
        self.settings.sampler
    }

    /// Decides when it has ended.
    #[inline]
    #[must_use]
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_deref()
    }

    /// With which settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has become of spans.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many operations wait, and how many found no room.
    #[must_use]
    pub fn waiting_and_dropped(&self) -> (usize, u64) {
        let queue = self.outlet.queue();
        (queue.len(), queue.dropped())
    }

    /// Sends what waits and ends, within the time. Returns whether everything was sent or given up by then.
    pub fn stop(&self, patience: Duration) -> bool {
        self.outlet.stop(patience)
    }
}

fn run(queue: &Queue, settings: &Settings, tail: Option<&Tail>, counters: &Counters) {
    let made = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let exporter = runtime.block_on(async { exporter(&settings.to) })?;
            Ok((runtime, exporter))
        });
    match made {
        Ok((runtime, exporter)) => {
            let sending = Sending {
                queue,
                settings,
                counters,
                runtime: &runtime,
                exporter: &exporter,
                spans: Spans::new(settings.stages, frame::interpreter().client_version),
                late: Vec::new(),
            };
            sending.work(tail);
            // A name that is still being looked up must not keep anybody.
            runtime.shutdown_background();
        }
        Err(error) => counters.fail(0, error),
    }
}

/// What spans are made of.
#[derive(Clone, Copy)]
enum Item<'a> {
    Operation(Ended<'a>),
    Conversion(&'a Converted),
    /// A conversion that has been tried before.
    Late(&'a Converted),
}

struct Sending<'a> {
    queue: &'a Queue,
    settings: &'a Settings,
    counters: &'a Counters,
    runtime: &'a Runtime,
    exporter: &'a SpanExporter,
    spans: Spans,
    /// Conversions whose operation is not known yet.
    late: Vec<Converted>,
}

impl Sending<'_> {
    fn work(mut self, tail: Option<&Tail>) {
        let percentiles = tail.and_then(|tail| tail.percentiles.as_ref());
        let (mut sent, mut renewed, mut forgotten) =
            (Instant::now(), Instant::now(), Instant::now());
        loop {
            let stopping = self.queue.calls().is_stopping();
            let due = sent.elapsed() >= self.settings.delay || self.queue.is_half_full();
            if stopping || due {
                self.send_all();
                sent = Instant::now();
            }
            if stopping {
                let orphans = self.late.len() as u64;
                self.counters.orphans.fetch_add(orphans, Ordering::Relaxed);
                return;
            }
            if let (Some(percentiles), true) = (percentiles, renewed.elapsed() >= RENEWED) {
                let forget = forgotten.elapsed() >= FORGOTTEN;
                percentiles.renew(forget);
                renewed = Instant::now();
                forgotten = if forget { renewed } else { forgotten };
            }
            let rest = self.settings.delay.saturating_sub(sent.elapsed());
            let at_most = rest.min(RENEWED).max(Duration::from_millis(1));
            let busy = || self.queue.is_half_full();
            self.queue.calls().sleep(at_most, busy);
        }
    }

    /// Sends what waits; what comes in meanwhile is for the next time.
    fn send_all(&mut self) {
        self.spans.set_offset(frame::unix_offset_ns());
        let mut blocks = Vec::new();
        self.queue.take(&mut blocks, true);
        let late = std::mem::take(&mut self.late);
        let operations = blocks.iter().flat_map(Block::operations);
        let conversions = blocks.iter().flat_map(Block::conversions);
        let mut items = operations
            .map(Item::Operation)
            .chain(late.iter().map(Item::Late))
            .chain(conversions.map(Item::Conversion))
            .peekable();
        let mut rest: usize = blocks.iter().map(Block::len).sum();
        while items.peek().is_some() {
            let mut batch = Vec::with_capacity(self.settings.batch + 32);
            let (mut operations, before) = (0, rest);
            while let (true, Some(item)) = (batch.len() < self.settings.batch, items.peek()) {
                rest -= usize::from(!matches!(item, Item::Late(_)));
                operations += u64::from(self.add(*item, &mut batch));
                items.next();
            }
            if self.queue.calls().is_out_of_time() {
                let left = operations + rest as u64;
                self.counters.left.fetch_add(left, Ordering::Relaxed);
                return;
            }
            self.queue.done(before - rest, 0);
            if !batch.is_empty() {
                self.send(batch, operations);
            }
        }
        drop(items);
        for block in blocks {
            self.queue.done(0, block.bytes());
            self.queue.give_back(block);
        }
    }

    /// Adds the spans of one item, if there are any.
    fn add(&mut self, item: Item<'_>, batch: &mut Vec<SpanData>) -> bool {
        let before = batch.len();
        match item {
            Item::Operation(ended) => self.spans.add_operation(ended, batch),
            Item::Conversion(converted) | Item::Late(converted) => {
                self.spans.add_conversion(converted, batch);
            }
        }
        let added = batch.len() > before;
        match item {
            // Its operation may have been put in where this thread had looked before.
            Item::Conversion(converted) if !added => self.late.push(converted.clone()),
            Item::Operation(_) | Item::Late(_) if !added => {
                self.counters.orphans.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        added
    }

    fn send(&self, batch: Vec<SpanData>, operations: u64) {
        let spans = batch.len() as u64;
        let sending = async {
            let sent = self.exporter.export(batch).await;
            sent.map_err(|error| error.to_string())
        };
        let calls = self.queue.calls();
        match deliver(self.runtime, calls, self.settings.export_timeout, sending) {
            Ok(()) => {
                self.counters
                    .operations
                    .fetch_add(operations, Ordering::Relaxed);
                self.counters.spans.fetch_add(spans, Ordering::Relaxed);
                self.counters.failures.end();
            }
            Err(error) => {
                let to = &self.settings.to.endpoint;
                self.counters
                    .fail(operations, format!("cannot send spans to {to}: {error}"));
            }
        }
    }
}

impl Counters {
    fn fail(&self, operations: u64, error: String) {
        self.lost.fetch_add(operations, Ordering::Relaxed);
        self.failures.add(
            error,
            "operations go on, their spans are dropped and counted (tracing_stats()); \
             check that the collector runs and OTEL_EXPORTER_OTLP_ENDPOINT",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aerospike_stages::caller::Span;
    use aerospike_stages::{Caller, End, Lane, Operation, Origin, Recorder};

    use super::*;
    use crate::ended::Kept;
    use crate::settings::{traces, Asked, Source};

    /// A block with an operation whose span has been chosen.
    fn block_of_one() -> (Block, Origin) {
        let mut recorder = Recorder::start(Operation::BatchRead, Lane::Asyncio, 0);
        recorder.caller = Some(Box::new(Caller {
            span: Some(Span {
                trace_id: 1,
                span_id: 2,
                sampled: true,
            }),
            ..Caller::default()
        }));
        let ending = recorder.close(End::OK.outcome, 10);
        let mut block = Block::default();
        block.add(&recorder, &ending, &End::OK, Some(Kept::Head));
        (block, recorder.origin())
    }

    #[test]
    fn a_conversion_may_be_seen_before_its_operation_once() {
        let nothing = HashMap::new();
        let Ok(Asked::On(settings)) = traces::resolve(&Source {
            arguments: &nothing,
            environment: &|_| None,
        }) else {
            panic!("nothing said means that spans are wanted");
        };
        let runtime = runtime().unwrap();
        let exporter = runtime.block_on(async { exporter(&settings.to) }).unwrap();
        let mut sending = Sending {
            queue: &Queue::new(4, 4),
            settings: &settings,
            counters: &Counters::default(),
            runtime: &runtime,
            exporter: &exporter,
            spans: Spans::new(true, String::new()),
            late: Vec::new(),
        };
        let (block, origin) = block_of_one();
        let conversion = Converted::here(origin, 10, 5);
        let mut batch = Vec::new();
        let orphans = |sending: &Sending<'_>| sending.counters.orphans.load(Ordering::Relaxed);

        assert!(!sending.add(Item::Conversion(&conversion), &mut batch));
        assert_eq!((sending.late.len(), orphans(&sending)), (1, 0));
        assert!(!sending.add(Item::Late(&conversion), &mut batch));
        assert_eq!((sending.late.len(), orphans(&sending)), (1, 1));

        for ended in block.operations() {
            assert!(sending.add(Item::Operation(ended), &mut batch));
        }
        let before = batch.len();
        assert!(sending.add(Item::Late(&conversion), &mut batch));
        assert_eq!((batch.len(), orphans(&sending)), (before + 1, 1));
    }
}
