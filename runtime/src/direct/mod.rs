//! Driving a future on the calling thread, which sleeps in poll(2) on exactly the sockets and deadlines
//! that the future waits for: no other thread, no reactor and no timer wheel has a part in it.
//!
//! While a thread drives, the sockets and deadlines of this crate tell it what they wait for
//! ([`waits`]), and tasks that are spawned run on the same thread ([`local`]). Whatever
//! is not of this crate (a semaphore, a resolver) wakes it through a [`bell`].

mod bell;
mod executor;
mod local;
mod pause;
mod sleep;
mod step;
mod waits;

pub use executor::{drive, Interruptions, Uninterrupted};
pub use pause::Sequential;
pub use step::{Socket, Step};

pub(crate) use local::{spawn, Handle};
pub(crate) use pause::pause_for;
pub(crate) use waits::{
    dates_arrivals, expect_by, forget_time, is_active, known_time, rest_until, wait_for,
    wait_until, Readiness,
};

/// Forgets what this thread keeps for its next drive. A process that has been forked must not share
/// it with its parent, and the thread that forked is the only one it has.
pub fn forget_after_fork() {
    executor::forget_spare();
}
