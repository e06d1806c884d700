//! Tasks that the driver spawns. A task spawned by a recorded operation is recorded as a track,
//! which becomes part of the operation if, and only if, the operation waits for its handle:
//! background work that nobody joins (opening a connection, draining one) leaves no trace.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aerospike_stages::observed::track;
use aerospike_stages::track::TrackSlot;
use aerospike_stages::{current, Event, Stage};

pub use ::tokio::task::*;

/// A spawned task; awaiting it gives the task's result.
#[derive(Debug)]
pub struct JoinHandle<T> {
    inner: ::tokio::task::JoinHandle<T>,
    slot: Option<TrackSlot>,
}

/// Spawns a task on the current runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match track(future) {
        Ok((tracked, slot)) => {
            current::note(Event::Spawned);
            JoinHandle {
                inner: ::tokio::spawn(tracked),
                slot: Some(slot),
            }
        }
        Err(future) => JoinHandle {
            inner: ::tokio::spawn(future),
            slot: None,
        },
    }
}

impl<T> JoinHandle<T> {
    /// Cancels the task.
    pub fn abort(&self) {
        self.inner.abort();
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.inner).poll(cx);
        if polled.is_pending() {
            let waiting = current::with(|recorder| {
                recorder.still_waits_in(Stage::FanIn);
                recorder.is_settled()
            });
            if waiting == Some(false) {
                current::note(Event::JoinPending);
            }
        } else if let Some(track) = self.slot.take().and_then(|slot| slot.take()) {
            current::with(|recorder| recorder.adopt(track));
            current::note(Event::JoinReady);
        }
        polled
    }
}
