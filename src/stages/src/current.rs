//! Which operation this thread is working on right now.
//!
//! The runtime crate reports events from deep inside the driver, which knows nothing of
//! recorders; a thread-local carries the recorder for the length of one poll.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use crate::clock::now_ns;
use crate::collector;
use crate::event::Event;
use crate::facts::End;
use crate::node::NodeId;
use crate::operation::Outcome;
use crate::recorder::{GilWait, Recorder};

/// What a thread is working on, in one place: it is looked at many times in an operation.
pub(crate) struct Here {
    /// Whoever puts a recorder here takes it out again, so nothing is left to drop when the thread ends,
    /// and looking at it needs no check whether it has.
    recorder: Cell<Option<ManuallyDrop<Box<Recorder>>>>,
    /// Since when the task has been due that this thread drives by itself; zero if that is unknown.
    driven: Cell<Option<u64>>,
    /// What is known of the event loop that runs on this thread, if it is observed.
    loop_gil_wait: Cell<Option<GilWait>>,
}

thread_local! {
    static HERE: Here = const {
        Here {
            recorder: Cell::new(None),
            driven: Cell::new(None),
            loop_gil_wait: Cell::new(None),
        }
    };
}

/// Calls `visit` with what this thread is working on: for several looks at it at once, as each has to find it.
#[inline(always)]
pub(crate) fn here<R>(visit: impl FnOnce(&Here) -> R) -> R {
    // With more than this in the closure, the compiler looks up by a function pointer where the place is.
    let here = HERE.with(std::ptr::from_ref);
    // SAFETY: it lies where this thread has its own, which needs no dropping and so is there until the thread is gone;
    // `visit` runs on this thread, and the reference ends with it.
    visit(unsafe { &*here })
}

impl Here {
    /// Since when the task has been due that is polled now, if this thread drives it.
    #[inline]
    pub(crate) fn due_since(&self) -> Option<u64> {
        self.driven.get()
    }

    /// As [`loop_gil_wait`].
    #[inline]
    pub(crate) fn loop_gil_wait(&self) -> Option<GilWait> {
        self.loop_gil_wait.get()
    }

    /// Makes `recorder` this thread's current one until the guard is given back.
    #[inline]
    pub(crate) fn install(&self, recorder: Box<Recorder>) -> Installed {
        Installed {
            previous: self.replace(Some(recorder)),
        }
    }

    #[inline]
    fn replace(&self, recorder: Option<Box<Recorder>>) -> Option<Box<Recorder>> {
        let recorder = recorder.map(ManuallyDrop::new);
        self.recorder
            .replace(recorder)
            .map(ManuallyDrop::into_inner)
    }
}

/// The event loop of this thread, which is observed, has just waited for the interpreter; `None` once it
/// is observed no more.
pub fn set_loop_gil_wait(wait: Option<GilWait>) {
    here(|here| here.loop_gil_wait.set(wait));
}

/// When the event loop of this thread last waited for the interpreter, if that is observed.
#[inline]
#[must_use]
pub fn loop_gil_wait() -> Option<GilWait> {
    here(Here::loop_gil_wait)
}

/// Runs `poll` on a thread that drives its tasks by itself and knows when they became due: zero if
/// they are polled at once. Nobody else has to find out.
pub fn driven<R>(since: u64, poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<u64>);
    impl Drop for Restore {
        fn drop(&mut self) {
            here(|here| here.driven.set(self.0));
        }
    }
    let _restore = Restore(here(|here| here.driven.replace(Some(since))));
    poll()
}

fn replace(recorder: Option<Box<Recorder>>) -> Option<Box<Recorder>> {
    here(|here| here.replace(recorder))
}

/// Keeps a recorder installed on this thread.
pub(crate) struct Installed {
    previous: Option<Box<Recorder>>,
}

impl Installed {
    /// Takes the recorder out again.
    #[inline]
    pub(crate) fn take(self) -> Option<Box<Recorder>> {
        let mut this = ManuallyDrop::new(self);
        replace(this.previous.take())
    }
}

impl Drop for Installed {
    /// Only a panic in the polled future gets here, with the recorder still installed.
    #[cold]
    fn drop(&mut self) {
        if let Some(recorder) = replace(self.previous.take()) {
            collector::finish(recorder, End::of(Outcome::ClientError), now_ns(), false);
        }
    }
}

/// Runs `visit` on the current recorder, if there is one.
#[inline]
pub fn with<R>(visit: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    if !collector::was_ever_enabled() {
        return None;
    }
    here(|here| {
        let mut recorder = here.recorder.take()?;
        let result = visit(&mut recorder);
        here.recorder.set(Some(recorder));
        Some(result)
    })
}

/// The current recorder, away from where [`with`] finds it: for what reports nothing by itself.
pub struct Held(Option<Box<Recorder>>);

/// Takes hold of the current recorder, if there is one.
#[inline]
#[must_use]
pub fn hold() -> Held {
    Held(
        collector::was_ever_enabled()
            .then(|| replace(None))
            .flatten(),
    )
}

impl Held {
    /// The recorder.
    #[inline]
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.0.as_deref_mut()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(recorder) = self.0.take() {
            replace(Some(recorder));
        }
    }
}

/// Reports an event that happens now.
#[inline]
pub fn note(event: Event) {
    if collector::was_ever_enabled() {
        note_now(event);
    }
}

/// In one place for all that is reported like this: most operations pass through none of it, and where it is reported
/// little is in the way. What every operation does is reported by [`with`], where the stage that begins is known.
#[inline(never)]
fn note_now(event: Event) {
    with(|recorder| recorder.on(event, now_ns()));
}

/// The operation talks to `node` from now on.
#[inline]
pub fn set_node(node: NodeId) {
    with(|recorder| recorder.set_node(node));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Lane, Operation};

    #[test]
    fn what_is_held_is_found_by_nobody_else_and_comes_back() {
        collector::set_enabled(true);
        assert!(hold().recorder().is_none());
        let recorder = collector::begin(Operation::Get, Lane::Sync, 1);
        let installed = here(|here| here.install(recorder));
        let id = with(|recorder| recorder.origin().id);
        assert!(id.is_some());
        let panicked = std::panic::catch_unwind(|| {
            let mut held = hold();
            assert_eq!(held.recorder().map(|recorder| recorder.origin().id), id);
            assert_eq!(with(|recorder| recorder.origin().id), None);
            panic!("while it is held");
        });
        assert!(panicked.is_err());
        assert_eq!(with(|recorder| recorder.origin().id), id);
        assert!(installed.take().is_some());
        assert_eq!(with(|recorder| recorder.origin().id), None);
    }
}
