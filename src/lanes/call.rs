//! One call of a method, from the moment it is entered: its duration for the metrics, and its
//! recorder when stages are on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use aerospike_stages::{
    caller, clock, collector, current, Attempts, End, Lane, NodeId, Operation, Origin, Outcome,
    Recorder, Stage, Subject,
};
use pyo3::prelude::*;

use crate::exceptions::name_of;
use crate::lanes::caller::find_caller;
use crate::lanes::event_loop::LoopBridge;
use crate::ops::about::subject_of;
use crate::ops::request::Request;

static METRICS: AtomicBool = AtomicBool::new(true);

/// Switches the duration metrics on or off.
pub fn set_metrics_enabled(enabled: bool) {
    METRICS.store(enabled, Ordering::Relaxed);
}

/// Whether durations are measured.
pub fn is_metrics_enabled() -> bool {
    METRICS.load(Ordering::Relaxed)
}

/// A call in progress.
pub struct Call {
    operation: Operation,
    lane: Lane,
    started: Option<u64>,
    subject: Subject,
    node: NodeId,
    /// Records the stages; `None` when they are off, or while the operation's future has it.
    pub recorder: Option<Box<Recorder>>,
    /// That of the loop that is running, if it has been looked for.
    bridge: Option<Arc<LoopBridge>>,
}

impl Call {
    /// The method has been entered.
    #[inline]
    pub fn begin(operation: Operation, lane: Lane) -> Self {
        let staged = collector::is_enabled();
        let started = (staged || is_metrics_enabled()).then(clock::now_ns);
        let recorder = match started {
            Some(at) if staged => Some(collector::begin(operation, lane, at)),
            _ => None,
        };
        Call {
            operation,
            lane,
            started,
            subject: Subject::default(),
            node: NodeId::NONE,
            recorder,
            bridge: None,
        }
    }

    /// A call whose duration counts but which has no stages: it is not about the data path.
    pub fn begin_unstaged(operation: Operation, lane: Lane) -> Self {
        let started = is_metrics_enabled().then(clock::now_ns);
        Call {
            operation,
            lane,
            started,
            subject: Subject::default(),
            node: NodeId::NONE,
            recorder: None,
            bridge: None,
        }
    }

    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.operation.name()
    }

    /// Which operation the record is of, if there is one.
    pub fn origin(&self) -> Option<Origin> {
        self.recorder.as_ref().map(|recorder| recorder.origin())
    }

    /// Finds out who calls, if somebody wants to know.
    #[inline]
    pub fn come_from(&mut self, py: Python<'_>) {
        if caller::is_wanted() {
            if let Some(recorder) = &mut self.recorder {
                // An asynchronous call is about to make the bridge anyway; a synchronous one leaves loops alone.
                self.bridge = match self.lane {
                    Lane::Asyncio => LoopBridge::of_running_loop(py).ok(),
                    Lane::Sync => None,
                };
                recorder.caller = Some(find_caller(py, self.bridge.as_ref()));
            }
        }
    }

    /// The bridge of the loop that is running, which calls it.
    #[inline]
    pub fn bridge(&mut self, py: Python<'_>) -> PyResult<Arc<LoopBridge>> {
        match self.bridge.take() {
            Some(bridge) => Ok(bridge),
            None => LoopBridge::of_running_loop(py),
        }
    }

    /// The arguments are known.
    #[inline]
    pub fn about(&mut self, request: &Request) {
        if self.started.is_some() {
            self.subject = subject_of(request);
            if let Some(recorder) = &mut self.recorder {
                recorder.facts.subject = self.subject;
            }
        }
    }

    /// The operation has ended, and this is known of its attempts.
    #[inline]
    pub fn attempted(&mut self, attempts: &Attempts) {
        self.node = attempts.node();
        if let Some(recorder) = &mut self.recorder {
            recorder.facts.node = self.node;
        }
    }

    /// A stage starts that the bridge knows by itself, unless it already runs.
    #[inline]
    pub fn enter(&mut self, stage: Stage) {
        if let Some(recorder) = &mut self.recorder {
            if recorder.stage() != stage {
                recorder.enter(stage, clock::now_ns());
            }
        }
    }

    /// The loop has come to the result, on this thread.
    #[inline]
    pub fn loop_has_come(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.split_loop_wait(current::loop_gil_wait());
        }
    }

    /// The call ends before anything has been sent.
    pub fn refuse<T>(self, py: Python<'_>, error: PyErr) -> PyResult<T> {
        self.finish(End {
            error: Some(name_of(py, &error)),
            ..End::of(Outcome::ClientError)
        });
        Err(error)
    }

    /// The call is over.
    #[inline]
    pub fn finish(self, end: End) {
        let Some(started) = self.started else { return };
        let ended = clock::now_ns();
        let measured = is_metrics_enabled();
        match self.recorder {
            Some(recorder) => collector::finish(recorder, end, ended, measured),
            None if measured => {
                let subject = (self.subject.target, self.node);
                let nanos = ended.saturating_sub(started);
                collector::record_duration((self.operation, self.lane), subject, &end, nanos);
            }
            None => {}
        }
        if measured && self.operation.is_batch() && self.subject.keys > 0 {
            collector::record_keys(self.operation, self.lane, self.subject.keys);
        }
    }
}
