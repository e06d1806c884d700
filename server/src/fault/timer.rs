//! Waiting exactly: a thread of its own wakes sleepers, because Tokio's timers round up to whole milliseconds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// By how much the system's sleeps usually last too long: the thread sleeps that much less and waits out the rest.
const SLEEP_SLACK: Duration = Duration::from_micros(50);

/// The thread that wakes sleepers; it ends when the timer is stopped or dropped.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    sleepers: BinaryHeap<Reverse<Entry>>,
    added: u64,
    stopped: bool,
}

/// Ordered by deadline, then by arrival.
struct Entry {
    deadline: Instant,
    number: u64,
    slot: Arc<Mutex<Slot>>,
}

impl Entry {
    fn order(&self) -> (Instant, u64) {
        (self.deadline, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[derive(Default)]
struct Slot {
    done: bool,
    waker: Option<Waker>,
}

/// Resolves when its time has come.
pub(crate) struct Sleep {
    slot: Arc<Mutex<Slot>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.slot.lock();
        if slot.done {
            return Poll::Ready(());
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Timer {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("embedded-timer".to_owned())
            .spawn(move || for_thread.run())?;
        Ok(Timer {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let deadline = Instant::now() + duration;
        let mut queue = self.shared.queue.lock();
        let number = queue.added;
        queue.added += 1;
        let first = queue
            .sleepers
            .peek()
            .is_none_or(|next| deadline < next.0.deadline);
        queue.sleepers.push(Reverse(Entry {
            deadline,
            number,
            slot: Arc::clone(&slot),
        }));
        drop(queue);
        if first {
            self.shared.changed.notify_one();
        }
        Sleep { slot }
    }

    /// Ends the thread; sleepers never wake.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // The thread has no way to panic that should take its owner down too.
            let _ = thread.join();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        let mut queue = self.queue.lock();
        while !queue.stopped {
            let Some(Reverse(next)) = queue.sleepers.peek() else {
                self.changed.wait(&mut queue);
                continue;
            };
            let left = next.deadline.saturating_duration_since(Instant::now());
            if left > SLEEP_SLACK {
                self.changed.wait_for(&mut queue, left - SLEEP_SLACK);
                continue;
            }
            if !left.is_zero() {
                MutexGuard::unlocked(&mut queue, std::thread::yield_now);
                continue;
            }
            let Some(Reverse(due)) = queue.sleepers.pop() else {
                continue;
            };
            let waker = {
                let mut slot = due.slot.lock();
                slot.done = true;
                slot.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sleepers_wake_in_order_of_their_deadlines_and_never_early() {
        let timer = Timer::start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let began = Instant::now();
        let woken = runtime.block_on(async {
            let late = timer.sleep(Duration::from_millis(30));
            let early = timer.sleep(Duration::from_millis(10));
            let wait = |sleep: Sleep| async move {
                sleep.await;
                began.elapsed()
            };
            tokio::join!(wait(late), wait(early))
        });
        assert!(woken.1 >= Duration::from_millis(10));
        assert!(woken.0 >= Duration::from_millis(30));
        assert!(woken.1 < woken.0);
    }

    #[test]
    fn delays_are_finer_than_a_millisecond() {
        let timer = Timer::start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut waits: Vec<Duration> = (0..50)
            .map(|_| {
                let began = Instant::now();
                runtime.block_on(timer.sleep(Duration::from_micros(300)));
                began.elapsed()
            })
            .collect();
        waits.sort_unstable();
        assert!(waits[0] >= Duration::from_micros(300));
        // A timer that rounds up to milliseconds could not have this best case.
        assert!(waits[0] < Duration::from_micros(900), "{:?}", waits[0]);
    }

    #[test]
    fn stopping_is_prompt_with_sleepers_outstanding() {
        let timer = Timer::start().unwrap();
        let _outstanding = timer.sleep(Duration::from_secs(3600));
        let began = Instant::now();
        timer.stop();
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
