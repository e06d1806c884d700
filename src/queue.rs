//! A bounded queue between whoever has something to tell and the thread that takes it: nobody waits for
//! anybody, what does not fit is counted. It survives forks, where a queue in mid-push would not.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::lanes::fork;

/// A queue that every process has for itself.
pub struct Queue<T: 'static> {
    capacity: usize,
    current: AtomicPtr<Generation<T>>,
    dropped: AtomicU64,
}

/// The queue of one process. Another thread may have been pushing while the process forked, which
/// leaves the child's copy in a state that no thread will ever complete.
struct Generation<T> {
    number: u64,
    items: ArrayQueue<T>,
}

impl<T> Queue<T> {
    /// A queue with room for so many items, which takes memory only once it is used.
    pub const fn new(capacity: usize) -> Self {
        Queue {
            capacity,
            current: AtomicPtr::new(std::ptr::null_mut()),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds an item; drops and counts it if there is no room. `false` if it was dropped.
    pub fn push(&self, item: T) -> bool {
        let taken = self.items().push(item).is_ok();
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        self.items().pop()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// How many items there was no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn items(&self) -> &ArrayQueue<T> {
        let number = fork::generation();
        // SAFETY: the pointer is null or one that `begin` has leaked, so it is valid for ever.
        let known = unsafe { self.current.load(Ordering::Acquire).as_ref() };
        match known.filter(|known| known.number == number) {
            Some(known) => &known.items,
            None => self.begin(number),
        }
    }

    /// The first use in this process. Queues are leaked: one per process that uses it.
    #[cold]
    fn begin(&self, number: u64) -> &ArrayQueue<T> {
        let before = self.current.load(Ordering::Acquire);
        // SAFETY: as in `items`.
        let current = unsafe { before.as_ref() }.filter(|current| current.number == number);
        if let Some(current) = current {
            return &current.items;
        }
        let fresh = Box::into_raw(Box::new(Generation {
            number,
            items: ArrayQueue::new(self.capacity),
        }));
        let swapped =
            self.current
                .compare_exchange(before, fresh, Ordering::AcqRel, Ordering::Acquire);
        let winner = match swapped {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: `fresh` comes from a box and has been shown to nobody.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
        // SAFETY: the winner of the exchange has been leaked, so it is valid for ever.
        unsafe { &(*winner).items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        static QUEUE: Queue<u32> = Queue::new(2);
        assert!(QUEUE.is_empty());
        assert!(QUEUE.push(1) && QUEUE.push(2) && !QUEUE.push(3));
        assert_eq!((QUEUE.pop(), QUEUE.dropped()), (Some(1), 1));
        assert!(QUEUE.push(4));
        assert_eq!(
            (QUEUE.pop(), QUEUE.pop(), QUEUE.pop()),
            (Some(2), Some(4), None)
        );
    }

    #[test]
    fn a_child_starts_with_an_empty_queue() {
        static QUEUE: Queue<u32> = Queue::new(4);
        fork::watch();
        assert!(QUEUE.push(1));
        // SAFETY: the child touches nothing but the queue and leaves without running destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let works = QUEUE.is_empty() && QUEUE.push(2) && QUEUE.pop() == Some(2);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!works)) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call; `child` is this process's own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 0);
        assert_eq!(QUEUE.pop(), Some(1));
    }

    #[test]
    fn threads_that_come_first_together_share_one_queue() {
        static QUEUE: Queue<u32> = Queue::new(64);
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || assert!(QUEUE.push(number)));
            }
        });
        let mut taken: Vec<u32> = std::iter::from_fn(|| QUEUE.pop()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..8).collect::<Vec<u32>>());
    }
}
