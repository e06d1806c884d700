//! Threads that serve connections: each has a runtime of its own, independent of any the embedding program runs.

use std::io;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// One thread with its runtime.
pub(crate) struct Worker {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(format!("embedded-{number}"))
            .spawn(move || {
                // A dropped sender means stop as well. Dropping the runtime drops its tasks and their sockets.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Worker {
            handle,
            stop: Mutex::new(Some(stop)),
            thread,
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Asks the thread to end.
    pub(crate) fn signal(&self) {
        drop(self.stop.lock().take());
    }

    /// Waits until the thread has ended.
    pub(crate) fn join(self) {
        self.signal();
        // A panic in a worker has been reported on standard error by then.
        let _ = self.thread.join();
    }
}
