//! What is known of the attempts of the operation or task that this thread polls, whether or not its
//! stages are recorded: which node they went to, how many there were, and since when a connection is
//! waited for.
//!
//! A thread-local carries it for the length of one poll, as [`crate::current`] does for recorders.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::now_ns;
use crate::histogram::Counts;
use crate::node::NodeId;
use crate::parts;

/// The attempts of one operation or task so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempts {
    /// Since when the next one waits for a connection; zero if it does not.
    waits_since: u64,
    node: NodeId,
    several_nodes: bool,
    /// Tasks that are waited for and have not ended: where they went is not known.
    unjoined: u16,
    count: u8,
    /// An operation or one of its tasks is polled, not the driver's own affairs.
    scoped: bool,
    /// It is the driver's own affairs that are polled here.
    background: bool,
}

thread_local! {
    static CURRENT: Cell<Attempts> = const { Cell::new(Attempts::NONE) };
}

/// Waits for a connection that ended with one.
static WAITS: Mutex<Option<Counts>> = Mutex::new(None);
static WAITING: AtomicU64 = AtomicU64::new(0);

pub(crate) fn lock_waits() -> MutexGuard<'static, Option<Counts>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attempts {
    const NONE: Attempts = Attempts {
        waits_since: 0,
        node: NodeId::NONE,
        several_nodes: false,
        unjoined: 0,
        count: 0,
        scoped: false,
        background: false,
    };

    /// Those of a task that is about to be spawned: the driver's own, unless an operation spawns it.
    pub(crate) fn of_task() -> Attempts {
        Attempts {
            background: !CURRENT.get().scoped,
            ..Attempts::NONE
        }
    }

    /// The node that all attempts went to, those of joined tasks included, if it was one.
    #[inline]
    #[must_use]
    pub fn node(&self) -> NodeId {
        if self.several_nodes || self.unjoined > 0 {
            NodeId::NONE
        } else {
            self.node
        }
    }

    fn went_to(&mut self, node: NodeId) {
        self.several_nodes |= self.node != NodeId::NONE && self.node != node;
        self.node = node;
    }

    /// Has the attempts of what is polled counted here.
    #[inline]
    pub(crate) fn scope<R>(&mut self, poll: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a mut Attempts, Attempts);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                *self.0 = CURRENT.replace(self.1);
            }
        }
        self.scoped = !self.background;
        let previous = CURRENT.replace(*self);
        let _restore = Restore(self, previous);
        poll()
    }
}

/// An attempt begins to talk to `node`. Returns whether it is another one of the same operation or task.
#[inline]
pub fn begin(node: NodeId) -> bool {
    let mut attempts = CURRENT.get();
    if !attempts.scoped {
        return false;
    }
    let again = attempts.count > 0;
    attempts.went_to(node);
    attempts.count = attempts.count.saturating_add(1);
    if attempts.waits_since != 0 {
        end_wait(&mut attempts);
    }
    CURRENT.set(attempts);
    again
}

/// The operation or task that is polled begins to wait for a task that it has spawned.
pub fn await_task() {
    let mut attempts = CURRENT.get();
    attempts.unjoined = attempts.unjoined.saturating_add(1);
    CURRENT.set(attempts);
}

/// A task that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedTask {
    /// Its attempts.
    pub attempts: Attempts,
    /// Nanoseconds from being spawned to its end.
    pub nanos: u64,
}

/// The task has ended, if it could tell how; a task that panicked or was aborted cannot, and where it went will never be
/// known.
pub fn join_task(ended: Option<&EndedTask>) {
    let Some(EndedTask {
        attempts: task,
        nanos,
    }) = ended
    else {
        return;
    };
    let mut attempts = CURRENT.get();
    if attempts.scoped {
        parts::add(task.node(), *nanos);
    }
    attempts.unjoined = attempts.unjoined.saturating_sub(1);
    attempts.several_nodes |= task.several_nodes || task.unjoined > 0;
    if task.node != NodeId::NONE {
        attempts.went_to(task.node);
    }
    CURRENT.set(attempts);
}

#[cold]
fn end_wait(attempts: &mut Attempts) {
    let waited = now_ns().saturating_sub(std::mem::take(&mut attempts.waits_since));
    lock_waits().get_or_insert_default().record(waited);
}

/// Waits for a connection that ended with one, in nanoseconds.
#[must_use]
pub fn waits() -> Counts {
    lock_waits().clone().unwrap_or_default()
}

/// A sleep of an operation or a task until there is a connection, or before another attempt; for as long
/// as this lives. The wait for a connection lasts until the next attempt begins, over several sleeps maybe;
/// whoever ends without an attempt is not among the waits.
#[derive(Debug)]
pub struct Waiting {
    counted: bool,
}

impl Waiting {
    /// The sleep begins.
    #[must_use]
    #[cold]
    pub fn begin() -> Waiting {
        let mut attempts = CURRENT.get();
        let counted = attempts.scoped;
        if counted {
            WAITING.fetch_add(1, Ordering::Relaxed);
            if attempts.waits_since == 0 {
                attempts.waits_since = now_ns().max(1);
                CURRENT.set(attempts);
            }
        }
        Waiting { counted }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.counted {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// How many operations and tasks sleep until there is a connection, or before another attempt.
#[must_use]
pub fn waiting() -> u64 {
    WAITING.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_where_they_are_polled() {
        let (one, two) = (NodeId::intern("attempts:1"), NodeId::intern("attempts:2"));
        assert!(!begin(one) && !begin(one), "nobody is polled");
        let (mut outer, mut inner) = (Attempts::default(), Attempts::default());
        outer.scope(|| {
            assert!(!begin(one));
            inner.scope(|| assert!(!begin(two)));
            assert!(begin(one));
        });
        assert_eq!((outer.node(), inner.node()), (one, two));
        outer.scope(|| assert!(begin(two)));
        assert_eq!(outer.node(), NodeId::NONE);
    }

    #[test]
    fn the_drivers_own_affairs_wait_for_nobody() {
        let mut background = Attempts::of_task();
        background.scope(|| {
            assert!(!Waiting::begin().counted);
            let mut below = Attempts::of_task();
            assert!(!below.scope(|| begin(NodeId::NONE) || begin(NodeId::NONE)));
        });
        let mut operation = Attempts::default();
        let mut task = operation.scope(Attempts::of_task);
        assert!(!task.scope(|| begin(NodeId::NONE)) && task.scope(|| begin(NodeId::NONE)));
    }

    #[test]
    fn tasks_that_are_waited_for_say_where_they_went() {
        let (one, two) = (NodeId::intern("attempts:4"), NodeId::intern("attempts:5"));
        let task_to = |node| {
            let mut task = Attempts::of_task();
            task.scope(|| begin(node));
            EndedTask {
                attempts: task,
                nanos: 1_000,
            }
        };
        let mut operation = Attempts::default();
        operation.scope(|| {
            await_task();
            await_task();
            join_task(Some(&task_to(one)));
        });
        assert_eq!(operation.node(), NodeId::NONE, "one of them has not ended");
        operation.scope(|| join_task(Some(&task_to(one))));
        assert_eq!(operation.node(), one);
        let mut again = operation;
        again.scope(|| {
            await_task();
            join_task(Some(&task_to(two)));
        });
        assert_eq!(again.node(), NodeId::NONE, "they went to two");
        operation.scope(|| {
            await_task();
            join_task(None);
        });
        assert_eq!(operation.node(), NodeId::NONE, "one of them could not tell");
    }

    #[test]
    fn a_wait_ends_with_the_next_attempt() {
        let node = NodeId::intern("attempts:3");
        let before = waits().count();
        let mut attempts = Attempts::default();
        attempts.scope(|| {
            let sleep = Waiting::begin();
            assert!(waiting() > 0);
            drop(sleep);
            drop(Waiting::begin());
        });
        assert_eq!(waits().count(), before);
        attempts.scope(|| begin(node));
        assert_eq!(waits().count(), before + 1);
        attempts.scope(|| begin(node));
        assert_eq!(waits().count(), before + 1);
    }
}
