//! Futures that carry a recorder: the operation itself, and the tasks it spawns.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::attempts::{Attempts, EndedTask};
use crate::clock::now_ns;
use crate::collector;
use crate::current::{self, Here, Installed};
use crate::event::Event;
use crate::facts::End;
use crate::operation::Lane;
use crate::recorder::Recorder;
use crate::track::TrackSlot;

/// Remembers when it was first woken since the last poll, and passes the wake on.
struct StampWaker {
    inner: Waker,
    woken_at: AtomicU64,
}

impl Wake for StampWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Only the first wake counts: the task waits to be polled from then on.
        let _ =
            self.woken_at
                .compare_exchange(0, now_ns().max(1), Ordering::AcqRel, Ordering::Relaxed);
        self.inner.wake_by_ref();
    }
}

/// Polls a future with its recorder installed on the polling thread.
#[derive(Default)]
struct Poller {
    recorder: Option<Box<Recorder>>,
    wake: Option<Stamped>,
    polled: bool,
    attempts: Attempts,
    /// When the polling thread last waited to be attached to the interpreter.
    gil_wait: Option<(u64, u64)>,
}

impl Poller {
    fn new(recorder: Option<Box<Recorder>>) -> Self {
        Poller {
            recorder,
            ..Poller::default()
        }
    }

    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let polling = self.recorder.take();
        let polling = polling.map(|recorder| self.begin(recorder, cx.waker()));
        // The future is polled in one place, recorded or not: it is a lot of code, and there is one copy of it.
        let stamped = polling
            .as_ref()
            .and_then(|polling| polling.stamped.as_ref());
        let waker = stamped.map_or(cx.waker(), |(_, waker)| waker);
        let outcome = self
            .attempts
            .scope(|| poll(&mut Context::from_waker(waker)));
        if let Some(polling) = polling {
            self.end(polling, outcome.is_ready());
        }
        outcome
    }

    /// What comes before every poll, whatever the future is: one piece of code for operations and tracks.
    #[inline(never)]
    fn begin(&mut self, mut recorder: Box<Recorder>, waker: &Waker) -> Polling {
        current::here(|here| {
            let driven = here.due_since();
            let stamped = match driven {
                Some(_) => None,
                None => Some(self.stamped(waker)),
            };
            let woken = match &stamped {
                Some((stamp, _)) => stamp.woken_at.swap(0, Ordering::AcqRel),
                None => driven.unwrap_or(0),
            };
            self.resume(&mut recorder, woken, driven.is_some(), here);
            let installed = here.install(recorder);
            Polling { installed, stamped }
        })
    }

    /// What comes after it.
    #[inline(never)]
    fn end(&mut self, polling: Polling, ready: bool) {
        self.recorder = polling.installed.take();
        if polling.stamped.is_some() {
            self.wake = polling.stamped;
        }
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        if ready {
            recorder.merge_tracks();
            if recorder.origin().lane == Lane::Sync {
                self.retire();
            }
        } else if !recorder.is_settled() {
            recorder.settle(now_ns());
        }
    }

    fn resume(&mut self, recorder: &mut Recorder, woken: u64, driven: bool, here: &Here) {
        let gil_wait = self.gil_wait.take();
        if !self.polled {
            self.polled = true;
            recorder.on(Event::FirstPoll, now_ns());
        } else if woken == 0 {
            recorder.look_again(now_ns);
        } else if let Some((from, until)) = gil_wait {
            recorder.resume_after_gil(woken, from, until, now_ns());
        } else if driven && recorder.origin().lane == Lane::Asyncio {
            recorder.resume_on_loop(woken, here.loop_gil_wait(), now_ns());
        } else {
            recorder.resume(woken, now_ns());
        }
    }

    /// A waker that stamps and wakes `inner`; whoever has polled with it keeps it for the next time.
    fn stamped(&mut self, inner: &Waker) -> Stamped {
        let fits = |wake: &Stamped| wake.0.inner.will_wake(inner);
        let wake = self.wake.take().filter(fits).or_else(|| {
            // A thread that drives one operation after the other has the same waker every time.
            let spare = SPARE.try_with(Cell::take).ok().flatten().filter(fits)?;
            spare.0.woken_at.store(0, Ordering::Relaxed);
            Some(spare)
        });
        wake.unwrap_or_else(|| {
            let stamp = Arc::new(StampWaker {
                inner: inner.clone(),
                woken_at: AtomicU64::new(0),
            });
            let waker = Waker::from(stamp.clone());
            (stamp, waker)
        })
    }

    /// The operation is over: the next one on this thread may use its waker again.
    fn retire(&mut self) {
        if let Some(wake) = self.wake.take() {
            let _ = SPARE.try_with(|spare| spare.set(Some(wake)));
        }
    }
}

type Stamped = (Arc<StampWaker>, Waker);

/// A poll that goes on.
struct Polling {
    installed: Installed,
    stamped: Option<Stamped>,
}

thread_local! {
    static SPARE: Cell<Option<Stamped>> = const { Cell::new(None) };
}

/// What an observed operation ends with: its value, and the recorder for the stages that follow.
pub struct Observation<T> {
    /// The operation's result.
    pub value: T,
    /// The recorder, when the operation is recorded.
    pub recorder: Option<Box<Recorder>>,
    /// What is known of its attempts in any case.
    pub attempts: Attempts,
}

pin_project! {
    /// An operation's future together with its recorder.
    pub struct Observed<F> {
        #[pin]
        future: F,
        poller: Poller,
    }

    impl<F> PinnedDrop for Observed<F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(recorder) = this.project().poller.recorder.take() {
                collector::finish(recorder, End::CANCELLED, now_ns(), false);
            }
        }
    }
}

impl<F: Future> Observed<F> {
    /// Observes `future`; without a recorder it is only polled.
    pub fn new(future: F, recorder: Option<Box<Recorder>>) -> Self {
        Observed {
            future,
            poller: Poller::new(recorder),
        }
    }
}

impl<F> Observed<F> {
    /// Takes the recorder out of an operation that is about to be dropped; without this it is
    /// recorded as cancelled then.
    pub fn take_recorder(self: Pin<&mut Self>) -> Option<Box<Recorder>> {
        self.project().poller.recorder.take()
    }

    /// The polling thread waited to be attached to the interpreter, and could not poll meanwhile.
    pub fn note_gil_wait(self: Pin<&mut Self>, from: u64, until: u64) {
        self.project().poller.gil_wait = Some((from, until));
    }
}

impl<F: Future> Future for Observed<F> {
    type Output = Observation<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let future = this.future;
        this.poller
            .poll(cx, |cx| future.poll(cx))
            .map(|value| Observation {
                value,
                recorder: this.poller.recorder.take(),
                attempts: this.poller.attempts,
            })
    }
}

pin_project! {
    /// A task that an operation spawned, recorded as a track.
    pub struct Tracked<F> {
        #[pin]
        future: F,
        poller: Poller,
        spawned: u64,
        slot: TrackSlot,
    }
}

/// Wraps a future that the current operation is about to spawn; `Err` gives it back when
/// nothing is recorded on this thread.
///
/// # Errors
/// The unchanged future, when no operation is being recorded here.
pub fn track<F: Future>(future: F) -> Result<(Tracked<F>, TrackSlot), F> {
    let started = current::with(|recorder| {
        let slot = recorder.slot();
        let spawned = now_ns();
        let track = recorder.start_track(spawned);
        recorder.on(Event::Spawned, spawned);
        (track, spawned, slot)
    });
    match started {
        Some((recorder, spawned, slot)) => Ok((
            Tracked {
                future,
                poller: Poller::new(Some(recorder)),
                spawned,
                slot: slot.clone(),
            },
            slot,
        )),
        None => Err(future),
    }
}

pin_project! {
    /// A task that nobody records, whose attempts are told apart from those of others all the same.
    pub struct Apart<F> {
        #[pin]
        future: F,
        spawned: u64,
        attempts: Attempts,
    }
}

impl<F> Apart<F> {
    /// Wraps a future that is about to be spawned.
    pub fn new(future: F) -> Self {
        Apart {
            future,
            spawned: now_ns(),
            attempts: Attempts::of_task(),
        }
    }
}

/// What a task ends with: its value, and what is known of it.
pub type Task<T> = (T, EndedTask);

fn ended(attempts: Attempts, spawned: u64, at: u64) -> EndedTask {
    EndedTask {
        attempts,
        nanos: at.saturating_sub(spawned),
    }
}

impl<F: Future> Future for Apart<F> {
    type Output = Task<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.attempts.scope(|| this.future.poll(cx));
        let (attempts, spawned) = (*this.attempts, *this.spawned);
        polled.map(|value| (value, ended(attempts, spawned, now_ns())))
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = Task<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let future = this.future;
        let result = this.poller.poll(cx, |cx| future.poll(cx));
        let mut at = 0;
        if result.is_ready() {
            at = now_ns();
            if let Some(recorder) = this.poller.recorder.take() {
                this.slot.put(recorder.into_track(at));
            }
        } else if let Some(recorder) = &this.poller.recorder {
            this.slot.publish(recorder.stage(), recorder.node());
        }
        let (attempts, spawned) = (this.poller.attempts, *this.spawned);
        result.map(|value| (value, ended(attempts, spawned, at)))
    }
}
