//! An outlet: a bounded queue of ended operations with a thread that empties it. Putting something in never waits; what
//! does not fit is dropped and counted. The thread looks by itself a few times a second and is woken early only when a
//! block is full or half of the queue: hardly any operation costs a system call.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::block::Block;
use crate::fork;
use crate::worker::{Calls, Worker};

/// How much memory the operations of one queue may take.
const MOST_BYTES: usize = 32 << 20;
/// Threads have places in turn, so that those that run at the same time rarely meet at one.
const PLACES: usize = 4;
/// So often a thread looks at all places before it drops an operation. None is held for longer than a copy takes, unless
/// its thread has lost the processor there: all of them at once.
const LOOKS: usize = 100;
/// So many empty blocks are kept.
const MOST_SPARE: usize = 2 * PLACES;

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

    /// One more, unless there are as many as may be or they take too much; how many there are with it.
    fn add(&self, capacity: usize) -> Option<usize> {
        let mut before = self.get();
        while before.number() < capacity && before.bytes() <= MOST_BYTES {
            let after = before.0 + Loaded::of(1, 0).0;
            let added =
                self.0
                    .compare_exchange_weak(before.0, after, Ordering::Relaxed, Ordering::Relaxed);
            match added {
                Ok(_) => return Some(Loaded(after).number()),
                Err(meanwhile) => before = Loaded(meanwhile),
            }
        }
        None
    }

    /// So much more memory.
    fn grow(&self, bytes: usize) {
        self.0.fetch_add(Loaded::of(0, bytes).0, Ordering::Relaxed);
    }

    /// So many less, which took so much.
    fn subtract(&self, number: usize, bytes: usize) {
        let less = Loaded::of(number as u64, bytes);
        self.0.fetch_sub(less.0, Ordering::Relaxed);
    }
}

/// Where threads put copies.
#[derive(Default)]
#[repr(align(128))]
struct Place(Mutex<Blocks>);

#[derive(Default)]
struct Blocks {
    /// The one that is being filled.
    open: Block,
    full: Vec<Block>,
}

impl Place {
    /// For whoever must not wait.
    fn try_lock(&self) -> Option<MutexGuard<'_, Blocks>> {
        match self.0.try_lock() {
            Ok(blocks) => Some(blocks),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Empty blocks. The one that was given back last is used first: as few of them as possible pass through the processor's
/// caches in turn.
#[derive(Default)]
struct Spare(Mutex<Vec<Block>>);

impl Spare {
    /// One of them, or a new one; never waits.
    fn take(&self) -> Block {
        let spare = match self.0.try_lock() {
            Ok(mut spare) => spare.pop(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().pop(),
            Err(TryLockError::WouldBlock) => None,
        };
        spare.unwrap_or_default()
    }

    fn give_back(&self, block: Block) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push(block);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where this thread looks first.
fn place_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let known = PLACE.try_with(Cell::get).unwrap_or(0);
    if known < PLACES {
        return known;
    }
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    let _ = PLACE.try_with(|known| known.set(place));
    place
}

/// A queue of ended operations, in blocks that are used again.
pub struct Queue {
    places: [Place; PLACES],
    load: Load,
    spare: Spare,
    dropped: AtomicU64,
    /// How many blocks are full.
    full: AtomicUsize,
    capacity: usize,
    /// So many make a block.
    many: usize,
    calls: Arc<Calls>,
}

impl Queue {
    /// A queue for so many operations in blocks of `many`.
    #[must_use]
    pub fn new(capacity: usize, many: usize) -> Self {
        let capacity = capacity.max(1);
        Queue {
            places: Default::default(),
            load: Load::default(),
            spare: Spare::default(),
            dropped: AtomicU64::new(0),
            full: AtomicUsize::new(0),
            capacity,
            many: many.clamp(1, capacity.div_ceil(2)),
            calls: Arc::default(),
        }
    }

    /// Puts in what `add` adds to a block; `false` if there is no room.
    pub fn put(&self, add: impl FnOnce(&mut Block)) -> bool {
        let Some(number) = self.load.add(self.capacity) else {
            self.drop_one();
            return false;
        };
        let Some(mut blocks) = self.a_place() else {
            self.load.subtract(1, 0);
            self.drop_one();
            return false;
        };
        let before = blocks.open.bytes();
        add(&mut blocks.open);
        self.load.grow(blocks.open.bytes() - before);
        let full = blocks.open.is_full(self.many);
        if full {
            let next = self.spare.take();
            let block = std::mem::replace(&mut blocks.open, next);
            blocks.full.push(block);
            self.full.fetch_add(1, Ordering::Relaxed);
        }
        drop(blocks);
        if full || number * 2 >= self.capacity {
            self.calls.wake();
        }
        true
    }

    /// A place that nobody else is at.
    fn a_place(&self) -> Option<MutexGuard<'_, Blocks>> {
        let first = place_of_this_thread();
        for _ in 0..LOOKS {
            let in_turn = (0..PLACES).map(|turn| &self.places[(first + turn) % PLACES]);
            if let Some(blocks) = in_turn.filter_map(Place::try_lock).next() {
                return Some(blocks);
            }
            spin_loop();
        }
        None
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.calls.wake();
    }

    /// The thread's: moves full blocks to the end of `taken`, and all others in which there is something if it is to `take_all`.
    /// They count as waiting until [`Queue::done`] is told.
    pub fn take(&self, taken: &mut Vec<Block>, take_all: bool) {
        for place in &self.places {
            let mut blocks = place.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.full.fetch_sub(blocks.full.len(), Ordering::Relaxed);
            taken.append(&mut blocks.full);
            if take_all && !blocks.open.is_empty() {
                let next = self.spare.take();
                taken.push(std::mem::replace(&mut blocks.open, next));
            }
        }
    }

    /// The thread's: so many no longer wait, which took so much memory.
    pub fn done(&self, number: usize, bytes: usize) {
        self.load.subtract(number, bytes);
    }

    /// The thread's: gives back a block that is to be used again.
    pub fn give_back(&self, mut block: Block) {
        if block.is_worth_keeping() {
            block.clear();
            self.spare.give_back(block);
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
        self.len() == 0
    }

    /// Whether half of the room is taken or more.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.len() * 2 >= self.capacity
    }

    /// Whether there is a full block.
    #[must_use]
    pub fn has_full_blocks(&self) -> bool {
        self.full.load(Ordering::Relaxed) > 0
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
    /// Starts, with a queue for so many operations in blocks of `many`.
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

    /// Puts in what `add` adds to a block; `false` if there is no room.
    #[inline]
    pub fn put(&self, add: impl FnOnce(&mut Block)) -> bool {
        self.here().queue.put(add)
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
    use aerospike_stages::{Lane, Operation, Origin};

    use super::*;
    use crate::ended::Converted;

    fn put(queue: &Queue, id: u64) -> bool {
        let origin = Origin {
            id,
            operation: Operation::Get,
            lane: Lane::Sync,
        };
        queue.put(|block| block.add_conversion(Converted::here(origin, 0, 0)))
    }

    /// Takes what there is and is done with it.
    fn eat(queue: &Queue, take_all: bool) -> Vec<u64> {
        let mut taken = Vec::new();
        queue.take(&mut taken, take_all);
        let mut ids = Vec::new();
        for block in taken {
            ids.extend(block.conversions().iter().map(|one| one.origin.id));
            queue.done(block.len(), block.bytes());
            queue.give_back(block);
        }
        ids
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nothing_waits() {
        let queue = Queue::new(4, 4);
        let fitted = (0..10).filter(|id| put(&queue, *id)).count();
        assert_eq!((fitted, queue.dropped(), queue.len()), (4, 6, 4));
        assert_eq!(eat(&queue, true), [0, 1, 2, 3]);
        assert_eq!((queue.len(), queue.load.get().bytes()), (0, 0));
    }

    #[test]
    fn what_is_being_worked_on_takes_room() {
        let queue = Queue::new(4, 1);
        (0..4).for_each(|id| assert!(put(&queue, id)));
        let mut taken = Vec::new();
        queue.take(&mut taken, true);
        assert!(!put(&queue, 4));
        let block = taken.remove(0);
        queue.done(block.len(), block.bytes());
        assert!(put(&queue, 5));
    }

    #[test]
    fn blocks_are_taken_when_they_are_full_and_used_again() {
        let queue = Queue::new(100, 3);
        (0..5).for_each(|id| assert!(put(&queue, id)));
        assert!(queue.has_full_blocks());
        assert_eq!(eat(&queue, false), [0, 1, 2]);
        assert!(!queue.has_full_blocks());
        assert_eq!(queue.spare.len(), 1);
        assert_eq!(eat(&queue, false), [0; 0]);
        assert_eq!(eat(&queue, true), [3, 4]);
        assert_eq!(
            queue.spare.len(),
            1,
            "one is open, and one has been given back"
        );
    }

    #[test]
    fn no_thread_finds_room_beyond_the_capacity() {
        const CAPACITY: usize = 4;
        const EACH: u64 = 20_000;
        let queue = Queue::new(CAPACITY, CAPACITY);
        let (fitted, taken, most) = std::thread::scope(|scope| {
            let putting = || (0..EACH).filter(|id| put(&queue, *id)).count() as u64;
            let putting: Vec<_> = (0..4).map(|_| scope.spawn(putting)).collect();
            let (mut taken, mut most) = (0, 0);
            while putting.iter().any(|thread| !thread.is_finished()) || !queue.is_empty() {
                most = most.max(queue.len());
                taken += eat(&queue, true).len() as u64;
            }
            let fitted: u64 = putting
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum();
            (fitted, taken, most)
        });
        assert!(most <= CAPACITY, "{most} waited");
        assert_eq!(
            (fitted, fitted + queue.dropped(), queue.len()),
            (taken, 4 * EACH, 0)
        );
    }

    #[test]
    fn threads_lose_nothing_while_there_is_room() {
        const EACH: u64 = 5_000;
        let queue = Queue::new(4 * EACH as usize, 16);
        let mut ids = std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    (0..EACH).for_each(|n| assert!(put(queue, thread * EACH + n)));
                });
            }
            let mut ids = Vec::new();
            while ids.len() < 4 * EACH as usize {
                ids.extend(eat(&queue, true));
            }
            ids
        });
        ids.sort_unstable();
        assert_eq!(ids, (0..4 * EACH).collect::<Vec<_>>());
        assert_eq!((queue.dropped(), queue.len()), (0, 0));
    }

    #[test]
    fn a_full_block_and_a_half_full_queue_wake_the_thread() {
        for (capacity, many) in [(100, 4), (8, 8)] {
            let queue = Arc::new(Queue::new(capacity, many));
            let (seen, all) = std::sync::mpsc::channel();
            let eating = queue
                .clone()
                .emptied_by("eats", move |queue| {
                    while !queue.calls().is_stopping() {
                        let busy = || queue.has_full_blocks() || queue.is_half_full();
                        queue.calls().sleep(Duration::from_secs(60), busy);
                        for id in eat(queue, true) {
                            let _ = seen.send(id);
                        }
                    }
                })
                .unwrap();
            (0..4).for_each(|id| assert!(put(&queue, id)));
            for id in 0..4 {
                assert_eq!(all.recv_timeout(Duration::from_secs(20)), Ok(id));
            }
            assert!(eating.stop(Duration::from_secs(20)));
        }
    }
}
