//! The sync lane: the calling thread polls the operation itself, detached from the interpreter,
//! and sleeps in between.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use aerospike_stages::{clock, Observation, Observed, Outcome, Stage};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::call::Call;
use crate::lanes::fork;
use crate::lanes::{convert, outcome_of};
use crate::ops::request::Reply;

/// How long Ctrl-C may go unnoticed while the main thread waits.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

struct Parker {
    thread: Thread,
    notified: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.notified.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

thread_local! {
    static PARKER: Arc<Parker> =
        Arc::new(Parker { thread: std::thread::current(), notified: AtomicBool::new(false) });
    /// Whether this is the main thread, as found out in which generation of forks.
    static IS_MAIN: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
}

/// Runs an operation to its end on this thread and turns its result into Python objects.
pub fn run<F>(py: Python<'_>, runtime: &Handle, operation: F, mut call: Call) -> PyResult<Py<PyAny>>
where
    F: Future<Output = Result<Reply, Fault>> + Send,
{
    let interruptible = is_main_thread(py);
    call.enter(Stage::Dispatch);
    let recorder = call.recorder.take();
    let driven = py.detach(|| {
        let mut driven = drive(runtime, Observed::new(operation, recorder), interruptible)?;
        if let Some(recorder) = driven.recorder.as_mut() {
            if driven.value.is_err() {
                recorder.fail();
            }
            recorder.enter(Stage::GilReacquire, clock::now_ns());
        }
        PyResult::Ok(driven)
    });
    let Observation { value, recorder } = match driven {
        Ok(driven) => driven,
        Err(interrupted) => {
            call.finish(Outcome::Cancelled);
            return Err(interrupted);
        }
    };
    call.recorder = recorder;
    let outcome = outcome_of(&value);
    let converted = convert(py, value, Some(&mut call), None);
    call.finish(outcome);
    converted
}

fn drive<F: Future>(
    runtime: &Handle,
    operation: Observed<F>,
    interruptible: bool,
) -> PyResult<Observation<F::Output>> {
    let _context = runtime.enter();
    let parker = PARKER.with(Arc::clone);
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut operation = pin!(operation);
    let mut next_check = Instant::now() + SIGNAL_CHECK;
    loop {
        if let Poll::Ready(value) = operation.as_mut().poll(&mut cx) {
            return Ok(value);
        }
        while !parker.notified.swap(false, Ordering::AcqRel) {
            if !interruptible {
                std::thread::park();
                continue;
            }
            // Parking may return early, for a token that an earlier wake-up has left behind.
            std::thread::park_timeout(next_check.saturating_duration_since(Instant::now()));
            if parker.notified.load(Ordering::Acquire) || Instant::now() < next_check {
                continue;
            }
            let asked = clock::now_ns();
            let attached = Python::attach(|py| {
                let attached = clock::now_ns();
                py.check_signals().map(|()| attached)
            })?;
            operation.as_mut().note_gil_wait(asked, attached);
            next_check = Instant::now() + SIGNAL_CHECK;
            // A signal handler may have used the client, and with it this thread's wake-ups.
            break;
        }
    }
}

/// Signal handlers run on the main thread only, so only there is it worth looking for them. After
/// a fork, the thread that forked is the main one.
fn is_main_thread(py: Python<'_>) -> bool {
    let generation = fork::generation();
    if let Some((_, is_main)) = IS_MAIN
        .get()
        .filter(|(known_in, _)| *known_in == generation)
    {
        return is_main;
    }
    let ask = || -> PyResult<bool> {
        let threading = py.import("threading")?;
        let main: u64 = threading
            .call_method0("main_thread")?
            .getattr("ident")?
            .extract()?;
        Ok(threading.call_method0("get_ident")?.extract::<u64>()? == main)
    };
    let is_main = ask().unwrap_or(false);
    IS_MAIN.set(Some((generation, is_main)));
    is_main
}
