//! An operation that the event loop's own thread drives: it is polled once when it is started, so
//! that its request is on its way at once, and again whenever it is woken, by the loop.
//!
//! Nothing crosses threads unless something else than the operation's own reply is waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use aerospike_rt::direct::Step;
use aerospike_stages::{Observation, Observed};
use tokio::runtime::Handle;

use crate::error::Fault;
use crate::lanes::fork;
use crate::ops::request::Reply;

/// What an operation ends with.
pub type Ended = Observation<Result<Reply, Fault>>;

type Operation = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// An operation's future, with the runtime that its timers and background work belong to.
pub struct Driven {
    operation: Option<Operation>,
    runtime: Handle,
    generation: u64,
    /// Its stages are recorded.
    recorded: bool,
    /// The loop watches what it waits for.
    pub watched: bool,
}

impl Driven {
    /// An operation that nobody has polled yet.
    pub fn new<F>(runtime: Handle, operation: Observed<F>, recorded: bool) -> Self
    where
        F: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        Driven {
            operation: Some(Box::pin(operation)),
            runtime,
            generation: fork::generation(),
            recorded,
            watched: false,
        }
    }

    /// Goes on with the operation, which has been due `since` then, as far as it gets; `step` says
    /// what it waits for.
    pub fn poll(&mut self, waker: &Waker, step: &mut Step, since: u64) -> Poll<Ended> {
        let Some(operation) = self.operation.as_mut() else {
            return Poll::Pending;
        };
        let mut cx = Context::from_waker(waker);
        step.date_arrivals(self.recorded);
        step.take(&self.runtime, since, || operation.as_mut().poll(&mut cx))
    }

    /// Leaves the operation to the runtime's threads; `ended` is told of its end there.
    pub fn hand_over(mut self, ended: impl FnOnce(Ended) + Send + 'static) {
        if !self.is_from_here() {
            return;
        }
        if let Some(operation) = self.operation.take() {
            self.runtime.spawn(async move { ended(operation.await) });
        }
    }

    fn is_from_here(&self) -> bool {
        self.generation == fork::generation()
    }
}

impl Drop for Driven {
    /// Giving up may leave a connection to a background task. In the child of a fork, the
    /// operation's connection is the parent's and is left alone.
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else {
            return;
        };
        if self.is_from_here() {
            let _context = self.runtime.enter();
            drop(operation);
        } else {
            std::mem::forget(operation);
        }
    }
}
