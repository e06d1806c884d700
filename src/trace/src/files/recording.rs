//! The thread that writes a recording. Operations are left in its queue; once a second at the latest they are in the file,
//! where another process can read them. A disk that is full or gone ends the recording and nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use arrow_schema::ArrowError;
use crossbeam_queue::ArrayQueue;

use crate::block::Block;
use crate::files::probes::{self, Sample};
use crate::files::rotation::{Content, Files, Place};
use crate::files::rows::{self, Rows};
use crate::outlet::{Outlet, Queue};
use crate::random;
use crate::sampling::Limit;

/// How long an operation waits for being written, at most.
const FLUSHED: Duration = Duration::from_millis(900);
/// How often the thread looks at the clock.
const LOOKED: Duration = Duration::from_millis(200);
/// So many rows are written at once, without waiting for more. To write them is to go through several copies of them,
/// which push what operations work with out of the processor's cache: the thread itself would have less to do with more rows.
const ROWS: usize = 256;
/// Operations that may wait.
const CAPACITY: usize = 16 << 10;
/// Samples that may wait.
const SAMPLES: usize = 16 << 10;

/// What is to be recorded, and where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where.
    pub place: Place,
    /// At most so many operations.
    pub per_second: Option<u32>,
    /// This share of them.
    pub share: f64,
    /// With their segments.
    pub segments: bool,
}

/// What has become of operations.
#[derive(Default)]
pub struct Counters {
    /// Rows in files.
    pub rows: AtomicU64,
    /// Samples of probes in files.
    pub samples: AtomicU64,
    /// Bytes in files, removed ones included.
    pub bytes: AtomicU64,
    /// Files that were removed to make room.
    pub removed: AtomicU64,
    /// Operations over the limit.
    pub over_limit: AtomicU64,
    /// Operations that could not be written.
    pub lost: AtomicU64,
    /// Why the recording has ended by itself.
    pub error: ArcSwapOption<String>,
    ended: AtomicBool,
    /// Up to this flush was asked for, and done.
    asked: AtomicU64,
    done: AtomicU64,
}

/// A recording that goes on.
pub struct Recording {
    wanted: Wanted,
    limit: Option<Limit>,
    /// Below this a random number means that an operation is recorded.
    bound: u64,
    counters: Arc<Counters>,
    samples: Arc<ArrayQueue<Sample>>,
    outlet: Outlet,
}

impl Recording {
    /// Starts a recording; its first file is there when this returns.
    ///
    /// # Errors
    /// Why nothing can be written, in words.
    pub fn start(wanted: Wanted) -> Result<Arc<Recording>, String> {
        let counters = Arc::new(Counters::default());
        let samples = Arc::new(ArrayQueue::new(SAMPLES));
        // The first thread gets the files that have been made here; that of a child process makes its own.
        let first = Mutex::new(Some(Files::create(wanted.place.clone())?));
        let work = (wanted.clone(), counters.clone(), samples.clone());
        let start = move |queue: Arc<Queue>| {
            let files = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (wanted, counters, samples) = work.clone();
            queue.emptied_by("aerospike-trace", move |queue| {
                run(queue, &wanted, files, &counters, &samples);
            })
        };
        let outlet = Outlet::start(CAPACITY, ROWS, start)
            .map_err(|error| format!("the system gives no thread for recording: {error}"))?;
        Ok(Arc::new(Recording {
            limit: wanted.per_second.map(Limit::new),
            bound: (wanted.share.clamp(0.0, 1.0) * u64::MAX as f64) as u64,
            wanted,
            counters,
            samples,
            outlet,
        }))
    }

    /// Whether an operation that ended at that time is to be recorded.
    #[inline]
    pub fn wants(&self, ended: u64) -> bool {
        if self.counters.ended.load(Ordering::Relaxed) {
            return false;
        }
        if self.bound != u64::MAX && random::next() >= self.bound {
            return false;
        }
        let within = self.limit.as_ref().is_none_or(|limit| limit.admits(ended));
        if !within {
            self.counters.over_limit.fetch_add(1, Ordering::Relaxed);
        }
        within
    }

    /// Leaves an operation or a conversion to be written.
    #[inline]
    pub fn put(&self, add: impl FnOnce(&mut Block)) {
        self.outlet.put(add);
    }

    pub(crate) fn put_samples(&self, samples: &[Sample]) {
        for sample in samples {
            if self.samples.push(sample.clone()).is_err() {
                return;
            }
        }
    }

    /// What was wanted.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What has become of operations.
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

    /// Waits until what has ended by now is in a file. Returns whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        if !self.outlet.is_at_work() {
            return true;
        }
        let ticket = self.counters.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let began = Instant::now();
        while self.counters.done.load(Ordering::Acquire) < ticket {
            if self.counters.ended.load(Ordering::Relaxed) || began.elapsed() > patience {
                return false;
            }
            self.outlet.queue().calls().wake();
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Writes what waits and finishes the files, within the time. Returns whether that was done.
    pub fn stop(&self, patience: Duration) -> bool {
        self.outlet.stop(patience)
    }
}

fn run(
    queue: &Queue,
    wanted: &Wanted,
    files: Option<Files>,
    counters: &Counters,
    samples: &ArrayQueue<Sample>,
) {
    let files = match files {
        Some(files) => files,
        None => match Files::create(wanted.place.clone()) {
            Ok(files) => files,
            Err(error) => return counters.end(error),
        },
    };
    let mut writing = Writing {
        counters,
        samples,
        files,
        rows: Rows::new(wanted.segments),
    };
    if let Err(error) = writing.work(queue) {
        let folder = wanted.place.folder.display();
        counters
            .lost
            .fetch_add(queue.len() as u64, Ordering::Relaxed);
        counters.end(format!("cannot write to {folder}: {error}"));
    }
}

impl Counters {
    fn end(&self, error: String) {
        log::warn!("the recording of operations has ended, operations go on: {error}; check the disk and its rights");
        self.error.store(Some(Arc::new(error)));
        self.ended.store(true, Ordering::Relaxed);
    }
}

struct Writing<'a> {
    counters: &'a Counters,
    samples: &'a ArrayQueue<Sample>,
    files: Files,
    rows: Rows,
}

impl Writing<'_> {
    fn work(&mut self, queue: &Queue) -> Result<(), ArrowError> {
        let mut written = Instant::now();
        let mut taken = Vec::new();
        loop {
            let stopping = queue.calls().is_stopping();
            let asked = self.counters.asked.load(Ordering::Acquire);
            let flush = asked > self.counters.done.load(Ordering::Relaxed);
            let all = stopping || flush || written.elapsed() >= FLUSHED;
            queue.take(&mut taken, all || queue.is_half_full());
            for block in taken.drain(..) {
                self.write_block(&block)?;
                queue.done(block.len(), block.bytes());
                queue.give_back(block);
            }
            if all {
                self.write_samples()?;
                written = Instant::now();
                self.counters.done.store(asked, Ordering::Release);
            }
            if stopping {
                self.files.close()?;
                self.count();
                return Ok(());
            }
            let busy = || queue.has_full_blocks() || queue.is_half_full();
            queue.calls().sleep(LOOKED, busy);
        }
    }

    fn write_block(&mut self, block: &Block) -> Result<(), ArrowError> {
        if block.operations().len() > 0 {
            let schema = self.files.schema(Content::Operations)?;
            let batch = self.rows.of(block, &schema)?;
            self.files.write(Content::Operations, &batch)?;
        }
        if !block.conversions().is_empty() {
            let schema = self.files.schema(Content::Conversions)?;
            let batch = rows::of_conversions(block.conversions(), &schema)?;
            self.files.write(Content::Conversions, &batch)?;
        }
        self.counters
            .rows
            .fetch_add(block.len() as u64, Ordering::Relaxed);
        self.count();
        Ok(())
    }

    fn write_samples(&mut self) -> Result<(), ArrowError> {
        probes::share();
        let samples: Vec<Sample> = std::iter::from_fn(|| self.samples.pop())
            .take(SAMPLES)
            .collect();
        if samples.is_empty() {
            return Ok(());
        }
        let schema = self.files.schema(Content::Probes)?;
        let batch = probes::batch(&samples, &schema)?;
        self.files.write(Content::Probes, &batch)?;
        self.counters
            .samples
            .fetch_add(samples.len() as u64, Ordering::Relaxed);
        self.count();
        Ok(())
    }

    fn count(&self) {
        let (bytes, removed) = self.files.written_and_removed();
        self.counters.bytes.store(bytes, Ordering::Relaxed);
        self.counters.removed.store(removed, Ordering::Relaxed);
    }
}
