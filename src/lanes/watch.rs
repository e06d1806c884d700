//! What the operations of one event loop wait for: their sockets and deadlines, and a bell that other
//! threads ring. One descriptor stands for all of it, and that is what the loop watches.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aerospike_rt::direct::{Socket, Step};
use rustix::event::{epoll, eventfd, EventfdFlags, Timespec};
use rustix::io::Errno;
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags,
};
use tokio::time::Instant;

use crate::lanes::progress::Shared;

/// What the bell and the timer are known by; no descriptor has such a number.
const BELL: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// How many sockets are looked at in one go; the loop comes again for the rest.
const MOST_AT_ONCE: usize = 256;

/// What an event loop watches.
pub struct Watch {
    set: OwnedFd,
    bell: OwnedFd,
    timer: OwnedFd,
    waiting: Mutex<Waiting>,
}

struct Entry {
    operation: Arc<Shared>,
    deadline: Option<Instant>,
}

/// What is known of a descriptor.
#[derive(Default)]
struct Place {
    /// Who waits for it.
    entry: Option<Entry>,
    /// The stream that is in the set under this number, for reading; zero for none.
    stream: u64,
}

#[derive(Default)]
struct Waiting {
    /// By the number of a descriptor.
    sockets: Vec<Place>,
    /// Those that wait for a deadline only.
    sleepers: Vec<Entry>,
    /// When the timer is going to fire.
    armed: Option<Instant>,
}

impl Watch {
    /// Nothing to wait for yet but the bell.
    pub fn new() -> std::io::Result<Watch> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Edge-triggered: every ring and every expiry is told once, and nobody has to read them.
        let once = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&set, &bell, epoll::EventData::new_u64(BELL), once)?;
        epoll::add(&set, &timer, epoll::EventData::new_u64(TIMER), once)?;
        Ok(Watch {
            set,
            bell,
            timer,
            waiting: Mutex::default(),
        })
    }

    /// The descriptor that is readable when there is something to do.
    pub fn descriptor(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    /// Makes the loop look; from any thread.
    pub fn ring(&self) {
        // The counter cannot overflow in any lifetime, and nothing else can go wrong.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Has an operation polled again when one of its sockets is ready or its deadline has passed.
    /// An operation that waits for neither is woken by its waker.
    pub fn wait(&self, operation: &Arc<Shared>, step: &Step) -> std::io::Result<()> {
        let mut waiting = self.lock();
        let entry = || Entry {
            operation: operation.clone(),
            deadline: step.deadline(),
        };
        let mut has_socket = false;
        for socket in step.sockets() {
            let place = waiting.place(socket.descriptor).ok_or(Errno::BADF)?;
            self.register(place, socket)?;
            place.entry = Some(entry());
            has_socket = true;
        }
        let Some(deadline) = step.deadline() else {
            return Ok(());
        };
        if !has_socket {
            waiting.sleepers.push(entry());
        }
        if waiting.armed.is_none_or(|armed| deadline < armed) {
            self.arm(&mut waiting, Some(deadline))?;
        }
        Ok(())
    }

    /// Puts a socket into the set, where it stays until it is closed: its next operation then costs no
    /// system call. Somebody else who uses the connection makes the loop look in vain.
    fn register(&self, place: &mut Place, socket: Socket) -> Result<(), Errno> {
        if place.stream == socket.stream && !socket.for_writing {
            return Ok(());
        }
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if socket.for_writing {
            flags |= epoll::EventFlags::OUT;
        }
        let number = epoll::EventData::new_u64(socket.descriptor as u64);
        // SAFETY: the operation that has just asked for the socket owns it and is not being polled,
        // so it is open for the length of this call.
        let descriptor = unsafe { BorrowedFd::borrow_raw(socket.descriptor) };
        match epoll::modify(&self.set, descriptor, number, flags) {
            Err(Errno::NOENT) => epoll::add(&self.set, descriptor, number, flags)?,
            done => done?,
        }
        place.stream = if socket.for_writing { 0 } else { socket.stream };
        Ok(())
    }

    fn arm(&self, waiting: &mut Waiting, deadline: Option<Instant>) -> Result<(), Errno> {
        // A time of zero would disarm the timer.
        let left = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            left.max(Duration::from_nanos(1))
        });
        let expiry = left.unwrap_or(Duration::ZERO);
        let setting = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(expiry).map_err(|_| Errno::INVAL)?,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        waiting.armed = deadline;
        Ok(())
    }

    /// Takes the operations that have become due into `due`.
    pub fn look(&self, due: &mut Vec<Arc<Shared>>) {
        let mut space = [const { MaybeUninit::<epoll::Event>::uninit() }; MOST_AT_ONCE];
        let at_once = Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        });
        // Fails only when a signal comes, and then the loop looks again.
        let Ok((events, _)) = epoll::wait(&self.set, &mut space, at_once) else {
            return;
        };
        let mut waiting = self.lock();
        for event in events {
            match event.data.u64() {
                BELL => {}
                TIMER => self.time_is_up(&mut waiting, due),
                socket => due.extend(waiting.take(socket).map(|entry| entry.operation)),
            }
        }
    }

    fn time_is_up(&self, waiting: &mut Waiting, due: &mut Vec<Arc<Shared>>) {
        let now = Instant::now();
        let is_over = |entry: &mut Entry| entry.deadline.is_some_and(|deadline| deadline <= now);
        for place in &mut waiting.sockets {
            due.extend(place.entry.take_if(is_over).map(|entry| entry.operation));
        }
        let mut sleepers = std::mem::take(&mut waiting.sleepers);
        due.extend(
            sleepers
                .extract_if(.., is_over)
                .map(|entry| entry.operation),
        );
        waiting.sleepers = sleepers;
        let next = waiting.entries().filter_map(|entry| entry.deadline).min();
        // Without a timer every deadline would be missed, so it must not be taken for armed.
        if self.arm(waiting, next).is_err() {
            waiting.armed = None;
        }
    }

    /// An operation does not wait any more.
    pub fn forget(&self, operation: &Arc<Shared>) {
        let is_it = |entry: &mut Entry| Arc::ptr_eq(&entry.operation, operation);
        let mut waiting = self.lock();
        let found: Vec<Entry> = {
            let waiting = &mut *waiting;
            let sockets = &mut waiting.sockets;
            let on_sockets = sockets
                .iter_mut()
                .filter_map(|place| place.entry.take_if(is_it));
            on_sockets
                .chain(waiting.sleepers.extract_if(.., is_it))
                .collect()
        };
        drop(waiting);
        drop(found);
    }

    /// Takes everything that waits.
    pub fn take_all(&self) -> Vec<Arc<Shared>> {
        let waiting = std::mem::take(&mut *self.lock());
        let on_sockets = waiting.sockets.into_iter().filter_map(|place| place.entry);
        on_sockets
            .chain(waiting.sleepers)
            .map(|entry| entry.operation)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn place(&mut self, socket: RawFd) -> Option<&mut Place> {
        let place = usize::try_from(socket).ok()?;
        if self.sockets.len() <= place {
            self.sockets.resize_with(place + 1, Place::default);
        }
        self.sockets.get_mut(place)
    }

    fn take(&mut self, socket: u64) -> Option<Entry> {
        let place = usize::try_from(socket).ok()?;
        self.sockets.get_mut(place)?.entry.take()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let on_sockets = self.sockets.iter().filter_map(|place| place.entry.as_ref());
        on_sockets.chain(&self.sleepers)
    }
}
