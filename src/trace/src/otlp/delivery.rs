//! One request to a collector, which may be slow, gone or wrong: how long it may take, and what becomes of failures.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Runtime;

use crate::worker::Calls;

/// What requests run on: the thread that sends them.
///
/// # Errors
/// What the system says if it does not give what a runtime needs.
pub fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Sends, for as long as there is time: `patience`, and less once the worker was asked to stop.
///
/// # Errors
/// Why it was not sent, in words.
pub fn deliver<T>(
    runtime: &Runtime,
    calls: &Calls,
    patience: Duration,
    sending: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    runtime.block_on(async {
        tokio::select! {
            biased;
            sent = sending => sent,
            () = tokio::time::sleep(patience) => Err(format!("no answer within {patience:?}")),
            () = calls.out_of_time() => Err("no answer before the shutdown".to_owned()),
        }
    })
}

/// Requests that failed.
#[derive(Default)]
pub struct Failures {
    count: AtomicU64,
    last_error: ArcSwapOption<String>,
    /// The collector did not take the last request, and that has been said.
    failing: AtomicBool,
}

impl Failures {
    /// Another one. The first in a row is said, with what to check.
    pub fn add(&self, error: String, advice: &str) {
        let error = Arc::new(error);
        self.last_error.store(Some(error.clone()));
        // Whoever sees the count finds what was said.
        self.count.fetch_add(1, Ordering::Release);
        if !self.failing.swap(true, Ordering::Relaxed) {
            log::warn!("{error}; {advice}");
        }
    }

    /// A request was taken.
    pub fn end(&self) {
        self.failing.store(false, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// What the last of them said.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<String>> {
        self.last_error.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_is_counted_says_why() {
        for _ in 0..200 {
            let failures = Failures::default();
            std::thread::scope(|scope| {
                scope.spawn(|| failures.add("gone".to_owned(), "look"));
                while failures.count() == 0 {
                    std::hint::spin_loop();
                }
                assert!(failures.last_error().is_some());
            });
        }
    }
}
