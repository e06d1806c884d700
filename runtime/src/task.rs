//! Tasks that the driver spawns. A task spawned by a recorded operation is recorded as a track,
//! which becomes part of the operation if, and only if, the operation waits for its handle:
//! background work that nobody joins (opening a connection, draining one) leaves no trace.
//!
//! On a thread that drives an operation by itself, its tasks run on that thread, too.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aerospike_stages::clock::now_ns;
use aerospike_stages::observed::{track, Apart, Task};
use aerospike_stages::track::TrackSlot;
use aerospike_stages::{attempts, current, Event, Stage};

use crate::whole::whole;
use crate::{direct, monitor, replies};

pub use ::tokio::task::*;

/// Why a task has no result.
#[derive(Debug)]
pub enum JoinError {
    /// It ran on the runtime, which says why.
    Runtime(::tokio::task::JoinError),
    /// It panicked.
    Panicked(String),
    /// It was aborted.
    Aborted,
}

impl JoinError {
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        JoinError::Panicked(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Runtime(error) => error.fmt(f),
            JoinError::Panicked(message) => write!(f, "a task panicked: {message}"),
            JoinError::Aborted => f.write_str("a task was aborted"),
        }
    }
}

impl std::error::Error for JoinError {}

/// A spawned task; awaiting it gives the task's result.
#[derive(Debug)]
pub struct JoinHandle<T> {
    inner: Inner<Task<T>>,
    slot: Option<TrackSlot>,
    awaited: bool,
}

#[derive(Debug)]
enum Inner<T> {
    Runtime(::tokio::task::JoinHandle<T>),
    Direct(direct::Handle<T>),
}

/// Spawns a task: on this thread if it drives the operation, on the current runtime if not.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // The driver's futures are large, and each of the layers around them would move them once more.
    let future: Pin<Box<dyn Future<Output = F::Output> + Send>> = Box::pin(whole(future));
    match track(replies::carry(future)) {
        Ok((tracked, slot)) => JoinHandle {
            inner: place(tracked),
            slot: Some(slot),
            awaited: false,
        },
        Err(future) => JoinHandle {
            inner: place(Apart::new(future)),
            slot: None,
            awaited: false,
        },
    }
}

fn place<F>(future: F) -> Inner<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match direct::spawn(future) {
        Ok(handle) => Inner::Direct(handle),
        Err(future) => Inner::Runtime(monitor::spawn(future)),
    }
}

impl<T> JoinHandle<T> {
    /// Cancels the task.
    pub fn abort(&self) {
        match &self.inner {
            Inner::Runtime(handle) => handle.abort(),
            Inner::Direct(handle) => handle.abort(),
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.inner {
            Inner::Runtime(handle) => handle.is_finished(),
            Inner::Direct(handle) => handle.is_finished(),
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Result<Task<T>, JoinError>> {
        match &mut self.inner {
            Inner::Runtime(handle) => Pin::new(handle)
                .poll(cx)
                .map(|joined| joined.map_err(JoinError::Runtime)),
            Inner::Direct(handle) => handle.poll(cx),
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.awaited, true) {
            attempts::await_task();
        }
        let polled = self.poll_inner(cx);
        if polled.is_pending() {
            current::with(|recorder| {
                recorder.still_waits_in(Stage::FanIn);
                if !recorder.is_settled() {
                    recorder.on(Event::JoinPending, now_ns());
                }
            });
        } else if let Some(track) = self.slot.take().and_then(|slot| slot.take()) {
            current::with(|recorder| {
                recorder.adopt(track);
                recorder.on(Event::JoinReady, now_ns());
            });
        }
        polled.map(|ended| {
            attempts::join_task(ended.as_ref().ok().map(|(_, task)| task));
            ended.map(|(value, _)| value)
        })
    }
}
