//! The sync lane: the calling thread drives the operation itself, detached from the interpreter.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use aerospike_rt::direct::{drive, Interruptions};
use aerospike_stages::{clock, End, Observation, Observed, Stage};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::call::Call;
use crate::lanes::fork;
use crate::lanes::outward;
use crate::lanes::{convert, end_of};
use crate::ops::request::Reply;

/// How long a signal may go unnoticed that was delivered to another thread, or just before the main
/// thread began to wait, once the wait is no short one; one that reaches it while it waits is noticed at once.
const SIGNAL_CHECK: Duration = Duration::from_millis(40);

thread_local! {
    /// Whether this is the main thread, as found out in which generation of forks.
    static IS_MAIN: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
}

/// Runs the operation that `prepare` makes to its end on this thread and turns its result into Python
/// objects. Nothing of it but the conversion keeps other threads from running Python.
pub fn run<F>(
    py: Python<'_>,
    runtime: &Handle,
    prepare: impl FnOnce() -> F + Send,
    mut call: Call,
) -> PyResult<Py<PyAny>>
where
    F: Future<Output = Result<Reply, Fault>> + Send,
{
    let signals = Signals {
        heeded: is_main_thread(py),
    };
    call.enter(Stage::Dispatch);
    let recorder = call.recorder.take();
    let driven = py.detach(|| {
        let mut driven = drive(runtime, Observed::new(prepare(), recorder), signals)?;
        if let Some(recorder) = driven.recorder.as_mut() {
            if driven.value.is_err() {
                recorder.fail();
            }
            recorder.enter(Stage::GilReacquire, clock::now_ns());
        }
        PyResult::Ok(driven)
    });
    let Observation {
        value,
        recorder,
        attempts,
    } = match driven {
        Ok(driven) => driven,
        Err(interrupted) => {
            call.finish(End::CANCELLED);
            return Err(interrupted);
        }
    };
    call.recorder = recorder;
    call.attempted(&attempts);
    let end = end_of(&value);
    let converted = convert(py, value, Some(&mut call), None);
    call.finish(end);
    converted
}

/// Lets Python's signal handlers run while the main thread waits.
struct Signals {
    heeded: bool,
}

impl<F> Interruptions<Observed<F>> for Signals {
    type Error = PyErr;

    fn patience(&self) -> Option<Duration> {
        self.heeded.then_some(SIGNAL_CHECK)
    }

    fn look(&mut self, operation: Pin<&mut Observed<F>>) -> PyResult<u64> {
        let asked = clock::now_ns();
        let attached = Python::attach(|py| {
            let attached = clock::now_ns();
            py.check_signals().map(|()| attached)
        })?;
        operation.note_gil_wait(asked, attached);
        Ok(asked)
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
        let main_thread = outward::call_method(
            crate::interned::interned!(py, "main_thread"),
            [threading.as_any()],
        )?;
        let main: u64 = main_thread.getattr("ident")?.extract()?;
        Ok(threading.call_method0("get_ident")?.extract::<u64>()? == main)
    };
    let is_main = ask().unwrap_or(false);
    IS_MAIN.set(Some((generation, is_main)));
    is_main
}
