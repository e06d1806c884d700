//! A thread of ours that works beside the operations: how it is told to look or to end, and how long whoever ends it
//! waits. What it works on is its owner's affair.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// What a worker is told, by whoever has something to tell; telling it never waits for it.
#[derive(Default)]
pub struct Calls {
    /// It has been woken and has not looked yet.
    woken: AtomicBool,
    thread: Mutex<Option<Thread>>,
    stop: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    stop_told: tokio::sync::Notify,
}

impl Calls {
    /// Has the worker look now.
    pub fn wake(&self) {
        if !self.woken.load(Ordering::Relaxed) && !self.woken.swap(true, Ordering::AcqRel) {
            if let Ok(thread) = self.thread.try_lock() {
                if let Some(thread) = thread.as_ref() {
                    thread.unpark();
                }
            }
        }
    }

    /// The worker's: sleeps until it is woken, it is asked to stop, or the time has passed; not at all if `is_busy`
    /// says so after the last moment at which somebody could have seen it awake.
    pub fn sleep(&self, at_most: Duration, is_busy: impl FnOnce() -> bool) {
        self.woken.store(false, Ordering::Release);
        if !self.is_stopping() && !is_busy() {
            std::thread::park_timeout(at_most);
        }
    }

    /// Whether the worker was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// When the worker has to be done, if it was asked to stop.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the worker was asked to stop and should be done by now.
    #[must_use]
    pub fn is_out_of_time(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Ends some time before the deadline, once the worker was asked to stop; for ever pending before.
    pub async fn out_of_time(&self) {
        loop {
            let told = self.stop_told.notified();
            if let Some(deadline) = self.deadline() {
                tokio::time::sleep_until(deadline.into()).await;
                return;
            }
            told.await;
        }
    }

    fn stop(&self, deadline: Instant) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.stopping.store(true, Ordering::Release);
        self.stop_told.notify_one();
        if let Ok(thread) = self.thread.lock() {
            if let Some(thread) = thread.as_ref() {
                thread.unpark();
            }
        }
    }
}

/// A thread that does what it is told.
pub struct Worker {
    calls: Arc<Calls>,
    done: Mutex<Receiver<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread, which `calls` reach from then on.
    ///
    /// # Errors
    /// What the system says if it does not give a thread.
    pub fn start(
        name: &str,
        calls: Arc<Calls>,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Worker> {
        let (finished, done): (SyncSender<()>, _) = std::sync::mpsc::sync_channel(1);
        let its_calls = calls.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                block_signals();
                *its_calls
                    .thread
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
                run();
                let _ = finished.try_send(());
            })?;
        Ok(Worker {
            calls,
            done: Mutex::new(done),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Asks the thread to finish what it has and end. Returns whether it did in time.
    pub fn stop(&self, patience: Duration) -> bool {
        let margin = patience / 8;
        self.calls
            .stop(Instant::now() + patience.saturating_sub(margin));
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = done.recv_timeout(patience).is_ok();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(thread)) = (ended, thread.take()) {
            let _ = thread.join();
        }
        ended
    }
}

/// Signals are for the application's threads: one of ours must not take those that Python waits for.
fn block_signals() {
    // SAFETY: the set is initialised by sigfillset before it is read, and only this thread's mask changes.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_hangs_does_not_keep_who_stops_it() {
        let hanging = Worker::start("hangs", Arc::default(), || {
            std::thread::sleep(Duration::from_secs(30))
        });
        let began = Instant::now();
        assert!(!hanging.unwrap().stop(Duration::from_millis(100)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
