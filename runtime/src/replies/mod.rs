//! Replies whose bins the driver need not decode.
//!
//! Decoding costs the driver about a microsecond per record: strings for names, a map from name to
//! value, copies of both. An operation that reads bins from the bytes of its replies (a batch read, or
//! the read of one record) brings a [`Sink`]; the driver then sees replies without bins, and goes on doing everything else: routing,
//! retries, result codes, which row is whose. Without a sink, and over TLS, nothing is different.

mod exchange;
mod frame;
pub mod msgpack;
mod particle;
mod replay;
mod single;
mod sink;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pub use exchange::Exchange;
pub use particle::{Bin, Bins, Particle};
pub use replay::{replay, ReplayOutcome};
pub use single::Single;
pub use sink::{late_bytes, KeptBins, KeptRecord, KeptRow, Replies, Sink};

/// Where a message has its record's generation, and how many operations it has.
const GENERATION: std::ops::Range<usize> = 6..10;
const OPERATION_COUNT: std::ops::Range<usize> = 20..22;

thread_local! {
    static CURRENT: Cell<Option<Arc<Sink>>> = const { Cell::new(None) };
}

/// Whether the operation that this thread is working on has a sink.
#[must_use]
pub fn is_wanted() -> bool {
    current().is_some()
}

/// The sink of the operation that this thread is working on.
#[must_use]
pub fn current() -> Option<Arc<Sink>> {
    CURRENT.with(|current| {
        let sink = current.take();
        current.set(sink.clone());
        sink
    })
}

pin_project! {
    /// A future whose reads leave their bins in a sink.
    #[derive(Debug)]
    pub struct Gathering<F> {
        #[pin]
        future: F,
        sink: Option<Arc<Sink>>,
    }
}

/// Makes the reads of `future`, and of the tasks it spawns, leave their bins in `sink`, if
/// there is one.
pub fn gather<F>(future: F, sink: Option<Arc<Sink>>) -> Gathering<F> {
    Gathering { future, sink }
}

/// A task that the current operation is about to spawn, with the operation's sink if it has one.
pub fn carry<F>(future: F) -> Gathering<F> {
    Gathering {
        future,
        sink: current(),
    }
}

/// Keeps a sink installed on this thread.
struct Installed<'a> {
    home: &'a mut Option<Arc<Sink>>,
    previous: Option<Arc<Sink>>,
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        *self.home = CURRENT.replace(self.previous.take());
    }
}

impl<F: Future> Future for Gathering<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(sink) = this.sink.take() else {
            return this.future.poll(cx);
        };
        let _installed = Installed {
            previous: CURRENT.replace(Some(sink)),
            home: this.sink,
        };
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sink_is_there_while_its_future_is_polled() {
        let sink = Arc::new(Sink::new());
        let seen = gather(
            async {
                let outer = current();
                tokio::task::yield_now().await;
                let carried = carry(async { current() }).await;
                let inner = gather(async { current() }, Some(Arc::default())).await;
                (outer, carried, inner, current())
            },
            Some(sink.clone()),
        )
        .await;
        assert!(current().is_none());
        let is_ours =
            |seen: &Option<Arc<Sink>>| seen.as_ref().is_some_and(|s| Arc::ptr_eq(s, &sink));
        assert!(is_ours(&seen.0) && is_ours(&seen.1) && is_ours(&seen.3));
        assert!(!is_ours(&seen.2));
    }

    #[tokio::test]
    async fn a_panic_leaves_no_sink_behind() {
        let task = gather(async { panic!("on purpose") }, Some(Arc::default()));
        let unwound = tokio::task::LocalSet::new()
            .run_until(async { tokio::task::spawn_local(task).await })
            .await;
        assert!(unwound.unwrap_err().is_panic());
        assert!(current().is_none());
    }
}
