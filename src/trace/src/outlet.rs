//! An outlet: a bounded queue of ended operations with a thread that empties it. Putting something in never waits; what
//! does not fit is dropped and counted. The thread looks by itself a few times a second and is woken early only when
//! so much waits that the copies would no longer fit into the processor's own memory, or half of the queue is full:
//! hardly any operation costs a system call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use crossbeam_queue::{ArrayQueue, SegQueue};

use crate::ended::{Converted, Ended, Item};
use crate::fork;
use crate::worker::{Calls, Worker};

/// How much memory the operations of one queue may take.
const MOST_BYTES: usize = 32 << 20;
/// Copies that took more than this are not used again.
const MOST_KEPT_BYTES: usize = 8 << 10;
/// So many copies are kept to be used again: with more of them, each would have left the cache by its next turn.
const MOST_KEPT: usize = 128;

/// How many wait, and how much memory they take, in one word that one instruction changes.
#[derive(Default)]
struct Load(AtomicU64);

/// The bits below have the bytes, those from here on the number.
const NUMBER: u32 = 40;

/// A [`Load`] at some moment.
#[derive(Clone, Copy)]
struct Loaded(u64);

impl Loaded {
    const fn of(number: u64, bytes: usize) -> Self {
        Loaded(number << NUMBER | bytes as u64)
    }

    const fn number(self) -> usize {
        (self.0 >> NUMBER) as usize
    }

    const fn bytes(self) -> usize {
        (self.0 & ((1 << NUMBER) - 1)) as usize
    }
}

impl Load {
    fn get(&self) -> Loaded {
        Loaded(self.0.load(Ordering::Relaxed))
    }

    /// One more, which takes so much, unless there are as many as may be; how much there is with it.
    fn add(&self, bytes: usize, capacity: usize) -> Option<Loaded> {
        let mut before = self.get();
        while before.number() < capacity {
            let after = before.0 + Loaded::of(1, bytes).0;
            let added =
                self.0
                    .compare_exchange_weak(before.0, after, Ordering::Relaxed, Ordering::Relaxed);
            match added {
                Ok(_) => return Some(Loaded(after)),
                Err(meanwhile) => before = Loaded(meanwhile),
            }
        }
        None
    }

    /// One less.
    fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(Loaded::of(1, bytes).0, Ordering::Relaxed);
    }
}

/// A queue of ended operations and the copies that can be used again.
///
/// Its memory grows and shrinks with what waits, in small blocks that are used again at once: a ring with room for all
/// would have each place leave the cache before its next turn.
pub struct Queue {
    waiting: SegQueue<Item>,
    load: Load,
    spare: ArrayQueue<Box<Ended>>,
    spare_conversions: ArrayQueue<Box<Converted>>,
    dropped: AtomicU64,
    capacity: usize,
    /// So many have to wait for the thread to be woken.
    many: usize,
    calls: Arc<Calls>,
}

impl Queue {
    /// A queue for so many operations, whose thread is woken when `many` wait.
    #[must_use]
    pub fn new(capacity: usize, many: usize) -> Self {
        let capacity = capacity.max(1);
        Queue {
            waiting: SegQueue::new(),
            load: Load::default(),
            spare: ArrayQueue::new(capacity.min(MOST_KEPT)),
            spare_conversions: ArrayQueue::new(capacity.min(MOST_KEPT)),
            dropped: AtomicU64::new(0),
            capacity,
            many: many.min(capacity.div_ceil(2)),
            calls: Arc::default(),
        }
    }

    /// Puts in what `fill` makes of an empty copy; `false` if there is no room.
    pub fn put(&self, fill: impl FnOnce(&mut Ended)) -> bool {
        if !self.has_room() {
            return false;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        fill(&mut copy);
        self.push(Item::Operation(copy))
    }

    /// Puts in a conversion; `false` if there is no room.
    pub fn put_conversion(&self, converted: Converted) -> bool {
        if !self.has_room() {
            return false;
        }
        let copy = match self.spare_conversions.pop() {
            Some(mut copy) => {
                *copy = converted;
                copy
            }
            None => Box::new(converted),
        };
        self.push(Item::Conversion(copy))
    }

    /// Whether there seems to be room, before anything is copied.
    fn has_room(&self) -> bool {
        let load = self.load.get();
        let room = load.number() < self.capacity && load.bytes() <= MOST_BYTES;
        if !room {
            self.drop_one();
        }
        room
    }

    fn push(&self, item: Item) -> bool {
        let Some(load) = self.load.add(item.bytes(), self.capacity) else {
            // Others have taken the room meanwhile.
            self.give_back(item);
            self.drop_one();
            return false;
        };
        self.waiting.push(item);
        if load.number() >= self.many {
            self.calls.wake();
        }
        true
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.calls.wake();
    }

    /// Takes the oldest out.
    #[must_use]
    pub fn take(&self) -> Option<Item> {
        let item = self.waiting.pop()?;
        self.load.subtract(item.bytes());
        Some(item)
    }

    /// Gives back what is to be used again, with what it shares with others: those are counted where operations run,
    /// and a count that two processors change travels between them for every operation.
    pub fn give_back(&self, item: Item) {
        match item {
            Item::Operation(copy) if copy.bytes() <= MOST_KEPT_BYTES => {
                let _ = self.spare.push(copy);
            }
            Item::Operation(_) => {}
            Item::Conversion(copy) => {
                let _ = self.spare_conversions.push(copy);
            }
        }
    }

    /// How many wait, or are about to.
    #[must_use]
    pub fn len(&self) -> usize {
        self.load.get().number()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many did not fit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How the thread that empties it is reached.
    #[must_use]
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// The thread's: sleeps until there is much to do, it is asked to stop, or the time has passed.
    pub fn sleep(&self, at_most: Duration) {
        self.calls.sleep(at_most, || self.len() >= self.many);
    }

    /// Starts a thread that empties it.
    ///
    /// # Errors
    /// What the system says if it does not give a thread.
    pub fn emptied_by(
        self: Arc<Self>,
        name: &str,
        run: impl FnOnce(&Queue) + Send + 'static,
    ) -> std::io::Result<Worker> {
        Worker::start(name, self.calls.clone(), move || run(&self))
    }
}

/// Starts a thread that empties the queue.
type Start = dyn Fn(Arc<Queue>) -> std::io::Result<Worker> + Send + Sync;

struct Running {
    queue: Arc<Queue>,
    /// `None` if there is no thread to be had.
    worker: Option<Worker>,
}

/// A queue with its thread, started anew in the child of a fork when it is first used there.
pub struct Outlet {
    running: ArcSwap<Running>,
    generation: AtomicU64,
    capacity: usize,
    many: usize,
    start: Box<Start>,
}

impl Outlet {
    /// Starts, with a queue for so many operations, whose thread is woken when `many` wait.
    ///
    /// # Errors
    /// What the system says if it does not give a thread.
    pub fn start(
        capacity: usize,
        many: usize,
        start: impl Fn(Arc<Queue>) -> std::io::Result<Worker> + Send + Sync + 'static,
    ) -> std::io::Result<Outlet> {
        let queue = Arc::new(Queue::new(capacity, many));
        let worker = Some(start(queue.clone())?);
        Ok(Outlet {
            running: ArcSwap::from_pointee(Running { queue, worker }),
            generation: AtomicU64::new(fork::generation()),
            capacity,
            many,
            start: Box::new(start),
        })
    }

    /// Puts in what `fill` makes of an empty copy; `false` if there is no room.
    #[inline]
    pub fn put(&self, fill: impl FnOnce(&mut Ended)) -> bool {
        self.here().queue.put(fill)
    }

    /// Puts in a conversion; `false` if there is no room.
    #[inline]
    pub fn put_conversion(&self, converted: Converted) -> bool {
        self.here().queue.put_conversion(converted)
    }

    /// What runs in this process.
    #[inline]
    fn here(&self) -> Guard<Arc<Running>> {
        if self.generation.load(Ordering::Relaxed) != fork::generation() {
            self.start_over();
        }
        self.running.load()
    }

    /// What the parent had in its queue is the parent's, and a thread of its may have been about to put something in.
    #[cold]
    fn start_over(&self) {
        let here = fork::generation();
        if self.generation.swap(here, Ordering::AcqRel) == here {
            return;
        }
        let queue = Arc::new(Queue::new(self.capacity, self.many));
        let worker = (self.start)(queue.clone())
            .map_err(|error| log::warn!("traces stop: this child process gets no thread: {error}"))
            .ok();
        let parents = self.running.swap(Arc::new(Running { queue, worker }));
        std::mem::forget(parents);
    }

    /// Whether this process has put something in, or is the one that started.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.generation.load(Ordering::Relaxed) == fork::generation()
    }

    /// The queue as it is.
    #[must_use]
    pub fn queue(&self) -> Arc<Queue> {
        self.running.load().queue.clone()
    }

    /// Asks the thread to empty the queue and end. Returns whether it did in time.
    pub fn stop(&self, patience: Duration) -> bool {
        if !self.is_at_work() {
            return true;
        }
        let running = self.running.load_full();
        running
            .worker
            .as_ref()
            .is_none_or(|worker| worker.stop(patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(item: &Item) -> u64 {
        match item {
            Item::Operation(ended) => ended.origin.id,
            Item::Conversion(converted) => converted.origin.id,
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_waits() {
        let queue = Queue::new(4, 4);
        let put = (0..10)
            .filter(|number| queue.put(|ended| ended.origin.id = *number))
            .count();
        assert_eq!((put, queue.dropped(), queue.len()), (4, 6, 4));
        let taken: Vec<u64> = std::iter::from_fn(|| queue.take())
            .map(|item| id_of(&item))
            .collect();
        assert_eq!(taken, [0, 1, 2, 3]);
        assert_eq!((queue.len(), queue.load.get().bytes()), (0, 0));
    }

    #[test]
    fn copies_are_used_again_unless_they_are_large() {
        let queue = Queue::new(4, 4);
        let mut small = Box::<Ended>::default();
        small.branches.reserve(8);
        let address: *const Ended = &*small;
        queue.give_back(Item::Operation(small));
        queue.put(|ended| assert!(std::ptr::eq(ended, address)));
        let mut large = Box::<Ended>::default();
        large.branches.reserve(10_000);
        queue.give_back(Item::Operation(large));
        assert!(queue.spare.is_empty());
    }

    #[test]
    fn no_thread_finds_room_beyond_the_capacity() {
        const CAPACITY: usize = 4;
        const EACH: u64 = 20_000;
        let queue = Queue::new(CAPACITY, CAPACITY);
        let (put, taken, most) = std::thread::scope(|scope| {
            let putting = || (0..EACH).filter(|_| queue.put(|_| {})).count() as u64;
            let putting: Vec<_> = (0..4).map(|_| scope.spawn(putting)).collect();
            let (mut taken, mut most) = (0, 0);
            while putting.iter().any(|thread| !thread.is_finished()) || !queue.is_empty() {
                most = most.max(queue.len());
                if let Some(item) = queue.take() {
                    taken += 1;
                    queue.give_back(item);
                }
            }
            let put: u64 = putting
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum();
            (put, taken, most)
        });
        assert!(most <= CAPACITY, "{most} waited");
        assert_eq!(
            (put, put + queue.dropped(), queue.len()),
            (taken, 4 * EACH, 0)
        );
    }

    #[test]
    fn conversions_are_used_again() {
        let queue = Queue::new(4, 4);
        let take = || match queue.take() {
            Some(Item::Conversion(converted)) => Some(converted),
            _ => None,
        };
        let put = |nanos| {
            queue.put_conversion(Converted {
                origin: Ended::default().origin,
                start: 0,
                nanos,
                thread: None,
            })
        };
        assert!(put(1));
        let first = take().unwrap();
        let address: *const Converted = &*first;
        queue.give_back(Item::Conversion(first));
        assert!(put(2));
        let second = take().unwrap();
        assert!(std::ptr::eq(&*second, address));
        assert_eq!(second.nanos, 2);
    }

    #[test]
    fn a_full_queue_wakes_its_thread() {
        let queue = Arc::new(Queue::new(8, 8));
        let (seen, all) = std::sync::mpsc::channel();
        let eating = queue
            .clone()
            .emptied_by("eats", move |queue| {
                while !queue.calls().is_stopping() {
                    queue.sleep(Duration::from_secs(60));
                    while let Some(item) = queue.take() {
                        let _ = seen.send(id_of(&item));
                        queue.give_back(item);
                    }
                }
            })
            .unwrap();
        for number in 0..4 {
            assert!(queue.put(|ended| ended.origin.id = number));
        }
        for number in 0..4 {
            assert_eq!(all.recv_timeout(Duration::from_secs(20)), Ok(number));
        }
        assert!(eating.stop(Duration::from_secs(20)));
    }
}
