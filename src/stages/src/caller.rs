//! Who called an operation: its thread, its asyncio task, its event loop, and the span that it belongs to.
//!
//! Finding that out costs calls into Python, so it is done only while somebody wants it. Who does it, and who decides
//! about spans, is no business of this crate.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

static WANTED: AtomicBool = AtomicBool::new(false);

/// Whether callers are to be found out: one relaxed load.
#[inline]
#[must_use]
pub fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Has callers found out from now on, or no longer.
pub fn set_wanted(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The operating system's number.
    pub id: u64,
    /// Python's name for it.
    pub name: Option<String>,
}

/// An asyncio task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Unique within the process.
    pub id: u64,
    /// As it was called when it was first seen.
    pub name: Option<String>,
}

/// The span around an operation, which the application made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace that it belongs to.
    pub trace_id: u128,
    /// The span itself.
    pub span_id: u64,
    /// The application keeps the trace.
    pub sampled: bool,
    /// The span was made by another process.
    pub remote: bool,
}

/// The span that an operation is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: u128,
    /// The span itself.
    pub span_id: u64,
    /// Decided when the operation began; what becomes of it is another matter.
    pub sampled: bool,
}

/// Who called an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The calling thread.
    pub thread: Option<Arc<Thread>>,
    /// The task that was running.
    pub task: Option<Arc<Task>>,
    /// The event loop that was running, by a number that is unique within the process.
    pub loop_id: Option<u64>,
    /// The application's span.
    pub parent: Option<Parent>,
    /// Ours, while spans are wanted.
    pub span: Option<Span>,
}

thread_local! {
    static THREAD: RefCell<Option<Arc<Thread>>> = const { RefCell::new(None) };
}

/// This thread, if somebody has said which it is.
#[must_use]
pub fn this_thread() -> Option<Arc<Thread>> {
    THREAD
        .try_with(|thread| thread.borrow().clone())
        .ok()
        .flatten()
}

/// Says which thread this is.
pub fn set_this_thread(thread: Option<Arc<Thread>>) {
    let _ = THREAD.try_with(|known| known.replace(thread));
}
