//! The loop: poll what is due, sleep, look what has become due.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::ops::Range;
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aerospike_stages::clock::now_ns;
use aerospike_stages::{collector, current};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::bell::{Bed, Rope};
use super::local::{take_spawned, Task};
use super::pause::Pause;
use super::sleep::{Sleepers, Woken};
use super::waits::{collect, Readiness, Waits};

/// What the driving thread has to look after while it waits.
pub trait Interruptions<F> {
    /// Why the drive was given up.
    type Error;

    /// How long it may sleep without a look; `None` for ever.
    fn patience(&self) -> Option<Duration>;

    /// Looks; called after every signal to this thread, and after [`patience`](Self::patience).
    /// Returns since when the thread has been unable to poll.
    ///
    /// # Errors
    /// Ends the drive.
    fn look(&mut self, future: Pin<&mut F>) -> Result<u64, Self::Error>;
}

/// Nothing to look after.
pub struct Uninterrupted;

impl<F> Interruptions<F> for Uninterrupted {
    type Error = Infallible;

    fn patience(&self) -> Option<Duration> {
        None
    }

    fn look(&mut self, _future: Pin<&mut F>) -> Result<u64, Infallible> {
        Ok(now_ns())
    }
}

/// Drives `future` to its end on this thread.
///
/// Tasks that it spawned and that are still running then, or that it does not wait for, go on on
/// `runtime`.
///
/// # Errors
/// What `interruptions` ends it with.
pub fn drive<F, I>(runtime: &Handle, future: F, interruptions: I) -> Result<F::Output, I::Error>
where
    F: Future,
    I: Interruptions<F>,
{
    let _context = runtime.enter();
    let mut kept = take_spare();
    let drive = Drive {
        kept: &mut kept,
        children: Vec::new(),
        runtime,
        blind_since: None,
    };
    let result = drive.run(pin!(future), interruptions);
    let _ = SPARE.try_with(|spare| spare.set(Some(kept)));
    result
}

/// What a task waits for and how it is woken.
#[derive(Debug)]
struct Wakeable {
    rope: Rope,
    waits: Waits,
    /// It has to be polled; the number says since when, if that is known.
    due: Option<u64>,
    /// Its places among the sleepers.
    places: Range<usize>,
}

impl Wakeable {
    fn new(bed: Arc<Bed>) -> Self {
        Wakeable {
            rope: Rope::new(bed),
            waits: Waits::default(),
            due: Some(0),
            places: 0..0,
        }
    }

    /// May wait in the middle of a poll.
    fn pausing(bed: Arc<Bed>) -> Self {
        let mut wakeable = Wakeable::new(bed);
        wakeable.waits.pause = Some(Pause::new(wakeable.rope.bell.clone()));
        wakeable
    }

    fn is_due(&self) -> bool {
        self.due.is_some() || self.rope.bell.is_rung()
    }

    fn is_handed_out(&self) -> bool {
        self.rope.is_handed_out(self.waits.pause.is_some())
    }

    /// Polls if that is due.
    fn poll_if_due<T>(
        &mut self,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Option<Poll<T>> {
        let rung = self.rope.bell.take();
        let since = self.due.take().or(rung)?;
        let mut cx = Context::from_waker(&self.rope.waker);
        let waits = &mut self.waits;
        Some(current::driven(since, || collect(waits, || poll(&mut cx))))
    }

    fn enlist(&mut self, sleepers: &mut Sleepers, next: &mut usize) {
        let first = *next;
        for wait in &self.waits.sockets {
            sleepers.push(wait.socket, wait.readiness);
            *next += 1;
        }
        self.places = first..*next;
    }

    fn has_readiness(&self, sleepers: &Sleepers) -> bool {
        self.places.clone().any(|place| sleepers.is_ready(place))
    }
}

struct Child {
    task: Task,
    wakeable: Wakeable,
}

/// What a thread keeps from one drive to the next.
#[derive(Debug)]
struct Kept {
    bed: Arc<Bed>,
    root: Wakeable,
    sleepers: Sleepers,
}

thread_local! {
    static SPARE: Cell<Option<Box<Kept>>> = const { Cell::new(None) };
}

/// A drive within a drive, from a signal handler, finds nothing to spare and makes its own.
fn take_spare() -> Box<Kept> {
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    spare.unwrap_or_else(|| {
        let bed = Arc::<Bed>::default();
        Box::new(Kept {
            root: Wakeable::pausing(bed.clone()),
            bed,
            sleepers: Sleepers::default(),
        })
    })
}

pub(super) fn forget_spare() {
    let _ = SPARE.try_with(Cell::take);
}

/// Without an alarm to sleep on, the thread looks at its bells this often.
const WITHOUT_ALARM: Duration = Duration::from_millis(1);

struct Drive<'a> {
    kept: &'a mut Kept,
    children: Vec<Child>,
    runtime: &'a Handle,
    /// The thread could not poll since then, and has not slept since.
    blind_since: Option<u64>,
}

impl Drive<'_> {
    fn run<F: Future, I: Interruptions<F>>(
        mut self,
        mut future: Pin<&mut F>,
        mut interruptions: I,
    ) -> Result<F::Output, I::Error> {
        let patience = interruptions.patience();
        // Nothing that is over at once needs a look, nor the time of one.
        let mut next_look = None;
        self.kept.root.due = Some(0);
        loop {
            self.allow_pauses();
            let polled = self.kept.root.poll_if_due(|cx| future.as_mut().poll(cx));
            if let Some(Poll::Ready(output)) = polled {
                return Ok(output);
            }
            self.adopt();
            self.poll_children();
            let woken = if self.take_signalled() {
                Woken::BySignal
            } else if self.is_anything_due() {
                continue;
            } else {
                if let (None, Some(patience)) = (next_look, patience) {
                    next_look = Some(Instant::now() + patience);
                }
                self.sleep(next_look)
            };
            let Some(patience) = patience else { continue };
            if woken == Woken::BySignal || next_look.is_some_and(|look| Instant::now() >= look) {
                self.blind_since = Some(interruptions.look(future.as_mut())?);
                next_look = Some(Instant::now() + patience);
            }
        }
    }

    /// The operation may wait in the middle of its poll as long as it is all that this thread looks after.
    fn allow_pauses(&mut self) {
        let is_alone = self.children.is_empty() && self.blind_since.is_none();
        if let Some(pause) = &mut self.kept.root.waits.pause {
            pause.allow(is_alone);
        }
    }

    /// Whether a signal has ended such a wait.
    fn take_signalled(&mut self) -> bool {
        let pause = self.kept.root.waits.pause.as_mut();
        pause.is_some_and(Pause::take_signalled)
    }

    /// Takes over the tasks that have been spawned, and lets go of those nobody waits for.
    fn adopt(&mut self) {
        for task in take_spawned() {
            let wakeable = Wakeable::new(self.kept.bed.clone());
            self.children.push(Child { task, wakeable });
        }
        if self.children.iter().any(|child| child.task.is_detached()) {
            for child in std::mem::take(&mut self.children) {
                if child.task.is_detached() {
                    self.runtime.spawn(child.task.body);
                } else {
                    self.children.push(child);
                }
            }
        }
    }

    fn poll_children(&mut self) {
        let mut place = 0;
        while let Some(child) = self.children.get_mut(place) {
            let body = &mut child.task.body;
            let polled = child.wakeable.poll_if_due(|cx| body.as_mut().poll(cx));
            if let Some(Poll::Ready(())) = polled {
                self.children.remove(place);
            } else {
                place += 1;
            }
            if polled.is_some() {
                self.adopt();
            }
        }
    }

    fn wakeables(&self) -> impl Iterator<Item = &Wakeable> {
        let children = self.children.iter().map(|child| &child.wakeable);
        std::iter::once(&self.kept.root).chain(children)
    }

    fn wakeables_mut(&mut self) -> impl Iterator<Item = &mut Wakeable> {
        let children = self.children.iter_mut().map(|child| &mut child.wakeable);
        std::iter::once(&mut self.kept.root).chain(children)
    }

    fn is_anything_due(&self) -> bool {
        self.wakeables().any(Wakeable::is_due)
    }

    fn sleep(&mut self, next_look: Option<Instant>) -> Woken {
        let alarm = self.enlist();
        let blind_since = self.blind_since.take();
        let patience = match blind_since {
            // What is ready already became so while the thread was busy elsewhere.
            Some(_) => Some(Duration::ZERO),
            None => self.time_to_sleep(next_look, alarm),
        };
        let woken = if alarm == Alarm::NotNeeded && self.is_anything_due() {
            // Whoever has let go of the last waker has rung it since it was looked at.
            Woken::Ready
        } else if alarm == Alarm::NotNeeded {
            self.kept.sleepers.sleep(patience)
        } else {
            self.sleep_beside_an_alarm(patience, alarm)
        };
        self.call_the_ready(blind_since.unwrap_or(0));
        woken
    }

    /// Puts what all tasks wait for in front of the sleeping thread.
    fn enlist(&mut self) -> Alarm {
        let mut sleepers = std::mem::take(&mut self.kept.sleepers);
        sleepers.clear();
        let mut places = 0;
        for wakeable in self.wakeables_mut() {
            wakeable.enlist(&mut sleepers, &mut places);
        }
        let alarm = if !self.wakeables().any(Wakeable::is_handed_out) {
            Alarm::NotNeeded
        } else if let Some(descriptor) = self.kept.bed.alarm() {
            sleepers.push(descriptor, Readiness::Readable);
            Alarm::At(places)
        } else {
            Alarm::NotToBeHad
        };
        self.kept.sleepers = sleepers;
        alarm
    }

    fn time_to_sleep(&self, next_look: Option<Instant>, alarm: Alarm) -> Option<Duration> {
        let deadlines = self
            .wakeables()
            .filter_map(|wakeable| wakeable.waits.deadline);
        let until_then = deadlines
            .chain(next_look)
            .min()
            .map(|earliest| earliest.saturating_duration_since(Instant::now()));
        if alarm == Alarm::NotToBeHad {
            return Some(until_then.map_or(WITHOUT_ALARM, |left| left.min(WITHOUT_ALARM)));
        }
        until_then
    }

    fn sleep_beside_an_alarm(&mut self, patience: Option<Duration>, alarm: Alarm) -> Woken {
        self.kept.bed.lie_down();
        let woken = if self
            .wakeables()
            .any(|wakeable| wakeable.rope.bell.is_rung())
        {
            self.kept.sleepers.sleep(Some(Duration::ZERO))
        } else {
            self.kept.sleepers.sleep(patience)
        };
        let alarmed = matches!(alarm, Alarm::At(place) if self.kept.sleepers.is_ready(place));
        self.kept.bed.get_up(alarmed);
        woken
    }

    /// Makes those due whose sockets are ready or whose deadline has passed.
    fn call_the_ready(&mut self, since: u64) {
        let sleepers = std::mem::take(&mut self.kept.sleepers);
        let mut calls = 0;
        let mut now = None;
        for wakeable in self.wakeables_mut() {
            let ready = wakeable.has_readiness(&sleepers)
                || wakeable
                    .waits
                    .deadline
                    .is_some_and(|deadline| *now.get_or_insert_with(Instant::now) >= deadline);
            if ready {
                // One task is polled at once; the others wait for the thread from now on.
                wakeable.due = Some(match since {
                    0 if calls > 0 && collector::is_enabled() => now_ns(),
                    since => since,
                });
                calls += 1;
            }
        }
        self.kept.sleepers = sleepers;
    }
}

/// How other threads wake this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// Nobody has anything to ring with.
    NotNeeded,
    /// At this place among the sleepers.
    At(usize),
    /// The system has no descriptor left: the thread has to look by itself.
    NotToBeHad,
}

impl Drop for Drive<'_> {
    fn drop(&mut self) {
        self.adopt();
        for child in self.children.drain(..) {
            self.runtime.spawn(child.task.body);
        }
    }
}
