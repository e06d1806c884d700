//! The thread that wakes event loops which cannot watch a descriptor. Only this thread attaches to
//! the interpreter for it, never one of the runtime's: one callback for however many results.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use pyo3::prelude::*;

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::fork;

/// The thread, its mailbox, and the process that it runs in.
pub struct Notifier {
    generation: u64,
    mailbox: Sender<Arc<LoopBridge>>,
    thread: JoinHandle<()>,
}

static NOTIFIER: Mutex<Option<Notifier>> = Mutex::new(None);

/// Starts the thread, unless this process has it. It ends before the interpreter does: a thread
/// that wants to attach while the interpreter is torn down would take the process with it.
pub fn start(py: Python<'_>) -> PyResult<()> {
    {
        let mut notifier = lock_notifier();
        if notifier.as_ref().is_some_and(Notifier::is_from_here) {
            return Ok(());
        }
        let (mailbox, asked) = channel();
        let thread = std::thread::Builder::new()
            .name("aerospike-py-loops".to_owned())
            .spawn(move || serve(&asked))?;
        let before = notifier.replace(Notifier {
            generation: fork::generation(),
            mailbox,
            thread,
        });
        // The thread of a parent process does not exist here.
        std::mem::forget(before);
    }
    let stop = wrap_pyfunction!(stop_notifier, py)?;
    py.import("atexit")?.call_method1("register", (stop,))?;
    Ok(())
}

/// Has a loop's operations looked after by the loop; nothing happens once the interpreter exits.
pub fn ask(bridge: Arc<LoopBridge>) {
    let notifier = lock_notifier();
    if let Some(known) = notifier.as_ref().filter(|known| known.is_from_here()) {
        // The thread ends only after the mailbox has been taken away.
        let _ = known.mailbox.send(bridge);
    }
}

impl Notifier {
    fn is_from_here(&self) -> bool {
        self.generation == fork::generation()
    }
}

#[pyfunction]
fn stop_notifier(py: Python<'_>) {
    let Some(notifier) = lock_notifier().take() else {
        return;
    };
    if !notifier.is_from_here() {
        std::mem::forget(notifier);
        return;
    }
    let Notifier {
        mailbox, thread, ..
    } = notifier;
    drop(mailbox);
    // It may need to attach before it is through.
    let _ = py.detach(|| thread.join());
}

fn serve(asked: &Receiver<Arc<LoopBridge>>) {
    while let Ok(bridge) = asked.recv() {
        if Python::try_attach(|py| bridge.schedule_drain(py)).is_none() {
            std::mem::forget(bridge);
        }
    }
}

/// The thread, if there is one.
pub fn lock_notifier() -> MutexGuard<'static, Option<Notifier>> {
    NOTIFIER.lock().unwrap_or_else(PoisonError::into_inner)
}
