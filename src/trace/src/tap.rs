//! Where ended operations are taken off: the one sink that the recorder knows. It decides what is kept, copies it into
//! the queues of the outlets and returns. It runs within the user's call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aerospike_stages::caller::{self, Parent, Span};
use aerospike_stages::recorder::Ending;
use aerospike_stages::sink::{self, Sink};
use aerospike_stages::{collector, exemplar, End, Origin, Recorder};
use arc_swap::ArcSwap;

use crate::ended::{Converted, Kept};
use crate::files::probes;
use crate::files::recording::Recording;
use crate::otlp::exporting::Exporting;
use crate::sampling::Result as Came;

/// Who gets ended operations.
#[derive(Default, Clone)]
struct Outlets {
    spans: Option<Arc<Exporting>>,
    recordings: Vec<Arc<Recording>>,
}

/// Operations whose span was kept, so that a later conversion of their results finds out without a search.
const REMEMBERED: usize = 1024;

struct Tap {
    outlets: ArcSwap<Outlets>,
    kept: [AtomicU64; REMEMBERED],
}

static TAP: LazyLock<Arc<Tap>> = LazyLock::new(|| {
    Arc::new(Tap {
        outlets: ArcSwap::default(),
        kept: std::array::from_fn(|_| AtomicU64::new(0)),
    })
});

/// What changes when outlets come and go; its lock is held across forks.
#[derive(Default)]
pub struct Control {
    /// While there are outlets.
    sink: Option<Arc<dyn Sink>>,
    /// Stages were on before there were outlets.
    staged: bool,
}

static CONTROL: Mutex<Option<Control>> = Mutex::new(None);

/// Holds the lock of this module.
pub fn hold() -> MutexGuard<'static, Option<Control>> {
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tap {
    fn change(&self, change: impl FnOnce(&mut Outlets)) {
        let mut held = hold();
        let control = held.get_or_insert_default();
        let mut outlets = Outlets::clone(&self.outlets.load());
        change(&mut outlets);
        let (recorded, recording) = (
            !self.outlets.load().recordings.is_empty(),
            !outlets.recordings.is_empty(),
        );
        if recorded != recording {
            probes::subscribe(recording);
        }
        let any = outlets.spans.is_some() || !outlets.recordings.is_empty();
        self.outlets.store(Arc::new(outlets));
        if any && control.sink.is_none() {
            control.staged = collector::is_enabled();
            let tap: Arc<dyn Sink> = TAP.clone();
            sink::add(tap.clone());
            control.sink = Some(tap);
            collector::set_enabled(true);
            caller::set_wanted(true);
        } else if let (false, Some(tap)) = (any, control.sink.as_ref()) {
            caller::set_wanted(false);
            sink::remove(tap);
            control.sink = None;
            if !control.staged {
                collector::set_enabled(false);
            }
        }
    }
}

impl Sink for Tap {
    fn ended(&self, recorder: &Recorder, ending: &Ending, end: &End) {
        let outlets = self.outlets.load();
        let mut kept = None;
        if let Some(spans) = &outlets.spans {
            kept = keep(spans, recorder, ending);
            if kept.is_some() && spans.put(|block| block.add(recorder, ending, end, kept)) {
                let id = recorder.origin().id;
                self.kept[id as usize % REMEMBERED].store(id, Ordering::Relaxed);
                offer(recorder, ending, end);
            }
        }
        for recording in &outlets.recordings {
            if recording.wants(ending.start + ending.wall) {
                recording.put(|block| block.add(recorder, ending, end, kept));
            }
        }
    }

    fn converted(&self, origin: Origin, start: u64, nanos: u64) {
        let outlets = self.outlets.load();
        if let Some(spans) = &outlets.spans {
            if self.kept[origin.id as usize % REMEMBERED].load(Ordering::Relaxed) == origin.id {
                spans.put(|block| block.add_conversion(Converted::here(origin, start, nanos)));
            }
        }
        for recording in &outlets.recordings {
            recording.put(|block| block.add_conversion(Converted::here(origin, start, nanos)));
        }
    }
}

/// A point of the metrics' histograms then leads to the trace.
fn offer(recorder: &Recorder, ending: &Ending, end: &End) {
    let Some(span) = recorder.caller.as_deref().and_then(|caller| caller.span) else {
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let ids = (span.trace_id.to_be_bytes(), span.span_id.to_be_bytes());
    exemplar::offer(
        recorder,
        end,
        ids,
        ending.wall,
        now.map_or(0.0, |now| now.as_secs_f64()),
    );
}

fn keep(spans: &Exporting, recorder: &Recorder, ending: &Ending) -> Option<Kept> {
    let caller = recorder.caller.as_deref()?;
    let span = caller.span?;
    let origin = recorder.origin();
    let came = Came {
        operation: origin.operation,
        lane: origin.lane,
        outcome: ending.outcome,
        wall: ending.wall,
        ended: ending.start + ending.wall,
    };
    let tail = spans.tail();
    if span.sampled {
        if let Some(tail) = tail {
            tail.sees(&came);
        }
        return Some(Kept::Head);
    }
    tail?.keeps(&came, caller.parent.is_some())
}

/// The span of an operation that begins under `parent`, while spans are exported.
#[must_use]
pub fn begin_span(parent: Option<&Parent>) -> Option<Span> {
    let outlets = TAP.outlets.load();
    let spans = outlets.spans.as_ref()?;
    Some(spans.sampler().begin(parent))
}

/// Has spans exported from now on, or no longer. Returns who exported them before.
pub fn set_exporting(exporting: Option<Arc<Exporting>>) -> Option<Arc<Exporting>> {
    let mut before = None;
    TAP.change(|outlets| before = std::mem::replace(&mut outlets.spans, exporting));
    before
}

/// Who exports spans.
#[must_use]
pub fn exporting() -> Option<Arc<Exporting>> {
    TAP.outlets.load().spans.clone()
}

/// Has operations recorded.
pub fn add_recording(recording: Arc<Recording>) {
    TAP.change(|outlets| outlets.recordings.push(recording));
}

/// Has operations recorded no longer.
pub fn remove_recording(recording: &Arc<Recording>) {
    TAP.change(|outlets| {
        outlets
            .recordings
            .retain(|present| !Arc::ptr_eq(present, recording));
    });
}

/// Every recording that goes on.
#[must_use]
pub fn recordings() -> Vec<Arc<Recording>> {
    TAP.outlets.load().recordings.clone()
}
