//! The sync lane: the calling thread polls the operation itself, detached from the interpreter,
//! and sleeps in between.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use aerospike_stages::{clock, Observation, Observed, Outcome, Stage};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::call::Call;
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
    static IS_MAIN: std::cell::OnceCell<bool> = const { std::cell::OnceCell::new() };
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
    let converted = convert(py, value, Some(&mut call));
    call.finish(outcome);
    converted
}

fn drive<F: Future>(runtime: &Handle, future: F, interruptible: bool) -> PyResult<F::Output> {
    let _context = runtime.enter();
    let parker = PARKER.with(Arc::clone);
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Ok(value);
        }
        while !parker.notified.swap(false, Ordering::AcqRel) {
            if interruptible {
                std::thread::park_timeout(SIGNAL_CHECK);
                if !parker.notified.load(Ordering::Acquire) {
                    Python::attach(|py| py.check_signals())?;
                }
            } else {
                std::thread::park();
            }
        }
    }
}

/// Signal handlers run on the main thread only, so only there is it worth looking for them.
fn is_main_thread(py: Python<'_>) -> bool {
    static GET_IDENT: PyOnceLock<(Py<PyAny>, u64)> = PyOnceLock::new();
    IS_MAIN.with(|known| {
        *known.get_or_init(|| {
            let ask = || -> PyResult<bool> {
                let (get_ident, main) = GET_IDENT.get_or_try_init(py, || {
                    let threading = py.import("threading")?;
                    let main = threading.call_method0("main_thread")?.getattr("ident")?.extract()?;
                    PyResult::Ok((threading.getattr("get_ident")?.unbind(), main))
                })?;
                Ok(get_ident.bind(py).call0()?.extract::<u64>()? == *main)
            };
            ask().unwrap_or(false)
        })
    })
}
