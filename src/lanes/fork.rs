//! What a fork leaves behind. A child process has the memory of its parent but none of its
//! threads, so a runtime or a connection from before the fork must not be touched in it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, Once, RwLockWriteGuard};

use aerospike_rt::net::tally::{lock_book, Book};
use aerospike_stages::histogram::Counts;
use aerospike_stages::hold::{hold, Held};
use aerospike_traces::otlp::reporting;
use aerospike_traces::tap::{self, Control};

use crate::export::server;
use crate::export::snapshot::{lock_baseline, Baseline};
use crate::lanes::event_loop::{lock_bridges, Bridges};
use crate::lanes::notifier::{lock_notifier, Notifier};
use crate::lanes::runtime::{lock_running, Running};
use crate::logs::bridge::{lock_running as lock_logs, Bridging};
use crate::ops::gauges::{lock_clients, lock_permit_waits, Clients};
use crate::ops::row_failures::{lock_failures, Failures};
use crate::probes::control::{self, Running as Probes};
use crate::probes::observer::{lock_everybody, lock_watchdog, Everybody, Watching};
use crate::probes::series::{lock_registry, Registry};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

/// Every lock of this module that a child may need. The thread that forks takes them first, so
/// that none of them is held by a thread which the child does not have. Polls come first: they take
/// other locks, and nobody polls under one of them.
struct Locks {
    _polls: RwLockWriteGuard<'static, ()>,
    _running: MutexGuard<'static, Option<Running>>,
    _bridges: MutexGuard<'static, Bridges>,
    _notifier: MutexGuard<'static, Option<Notifier>>,
    _baseline: MutexGuard<'static, Baseline>,
    _traces: MutexGuard<'static, Option<Control>>,
    _reporting: MutexGuard<'static, reporting::Control>,
    _server: MutexGuard<'static, Option<server::Running>>,
    _probes: MutexGuard<'static, Option<Probes>>,
    _series: MutexGuard<'static, Registry>,
    _observed: MutexGuard<'static, Everybody>,
    _watchdog: MutexGuard<'static, Watching>,
    _logs: MutexGuard<'static, Bridging>,
    _clients: MutexGuard<'static, Clients>,
    _permit_waits: MutexGuard<'static, Option<Counts>>,
    _row_failures: MutexGuard<'static, Failures>,
    _book: MutexGuard<'static, Book>,
    _stages: Held,
}

thread_local! {
    /// On the heap, because the memory that all libraries of a process share for their thread-locals is small.
    static LOCKS: RefCell<Option<Box<Locks>>> = const { RefCell::new(None) };
}

extern "C" fn before_fork() {
    let locks = Box::new(Locks {
        _polls: aerospike_rt::whole::hold(),
        _running: lock_running(),
        _bridges: lock_bridges(),
        _notifier: lock_notifier(),
        _baseline: lock_baseline(),
        _traces: tap::hold(),
        _reporting: reporting::hold(),
        _server: server::lock_server(),
        _probes: control::lock_running(),
        _series: lock_registry(),
        _observed: lock_everybody(),
        _watchdog: lock_watchdog(),
        _logs: lock_logs(),
        _clients: lock_clients(),
        _permit_waits: lock_permit_waits(),
        _row_failures: lock_failures(),
        _book: lock_book(),
        _stages: hold(),
    });
    let _ = LOCKS.try_with(|held| held.replace(Some(locks)));
}

extern "C" fn in_parent() {
    let _ = LOCKS.try_with(|held| held.take());
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    aerospike_rt::direct::forget_after_fork();
    aerospike_traces::fork::in_child();
    server::forget_after_fork();
    in_parent();
}

/// Installs the hooks that notice forks; called once, at import.
pub fn watch() {
    HOOK.call_once(|| {
        // SAFETY: the handlers only lock, unlock and add to an atomic, on the thread that forks;
        // they are functions of this module, which is never unloaded.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child));
        }
    });
}

/// How many forks lie between the process that first imported the package and this one.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_another_generation() {
        watch();
        let here = generation();
        // SAFETY: the child only reads an atomic and leaves without running any destructor.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(generation() != here + 1);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call; `child` is this process's own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 0);
        assert_eq!(generation(), here);
    }
}
