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

/// What the bell and the timer are known by; no descriptor has such a number.
const BELL: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// How many sockets are looked at in one go; the loop comes again for the rest.
const MOST_AT_ONCE: usize = 256;

/// What an event loop watches for its operations.
pub struct Watch<O> {
    set: OwnedFd,
    bell: OwnedFd,
    timer: OwnedFd,
    waiting: Mutex<Waiting<O>>,
}

struct Entry<O> {
    operation: Arc<O>,
    deadline: Option<Instant>,
}

/// What is known of a descriptor.
struct Place<O> {
    /// Who waits for it.
    entry: Option<Entry<O>>,
    /// The stream that is in the set under this number, for reading; zero for none.
    stream: u64,
}

struct Waiting<O> {
    /// By the number of a descriptor.
    sockets: Vec<Place<O>>,
    /// Those that wait for a deadline only.
    sleepers: Vec<Entry<O>>,
    /// When the timer is going to fire.
    armed: Option<Instant>,
}

impl<O> Watch<O> {
    /// Nothing to wait for yet but the bell.
    pub fn new() -> std::io::Result<Self> {
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
    ///
    /// A descriptor has one owner. If another operation is known to wait for the same one, it has lost it since; it goes
    /// into `displaced` and has to be polled, so that it says anew what it waits for.
    pub fn wait(
        &self,
        operation: &Arc<O>,
        step: &Step,
        displaced: &mut Vec<Arc<O>>,
    ) -> std::io::Result<()> {
        let mut waiting = self.lock();
        let entry = || Entry {
            operation: operation.clone(),
            deadline: step.deadline(),
        };
        let mut has_socket = false;
        for socket in step.sockets() {
            let place = waiting.place(socket.descriptor).ok_or(Errno::BADF)?;
            self.register(place, socket)?;
            let former = place.entry.replace(entry()).map(|entry| entry.operation);
            displaced.extend(former.filter(|former| !Arc::ptr_eq(former, operation)));
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
    fn register(&self, place: &mut Place<O>, socket: Socket) -> Result<(), Errno> {
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

    fn arm(&self, waiting: &mut Waiting<O>, deadline: Option<Instant>) -> Result<(), Errno> {
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
    pub fn look(&self, due: &mut Vec<Arc<O>>) {
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

    fn time_is_up(&self, waiting: &mut Waiting<O>, due: &mut Vec<Arc<O>>) {
        let now = Instant::now();
        let is_over = |entry: &mut Entry<O>| entry.deadline.is_some_and(|deadline| deadline <= now);
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
    pub fn forget(&self, operation: &Arc<O>) {
        let is_it = |entry: &mut Entry<O>| Arc::ptr_eq(&entry.operation, operation);
        let mut waiting = self.lock();
        let found: Vec<Entry<O>> = {
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
    pub fn take_all(&self) -> Vec<Arc<O>> {
        let waiting = std::mem::take(&mut *self.lock());
        let on_sockets = waiting.sockets.into_iter().filter_map(|place| place.entry);
        on_sockets
            .chain(waiting.sleepers)
            .map(|entry| entry.operation)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<O>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Default for Place<O> {
    fn default() -> Self {
        Place {
            entry: None,
            stream: 0,
        }
    }
}

impl<O> Default for Waiting<O> {
    fn default() -> Self {
        Waiting {
            sockets: Vec::new(),
            sleepers: Vec::new(),
            armed: None,
        }
    }
}

impl<O> Waiting<O> {
    fn place(&mut self, socket: RawFd) -> Option<&mut Place<O>> {
        let place = usize::try_from(socket).ok()?;
        if self.sockets.len() <= place {
            self.sockets.resize_with(place + 1, Place::default);
        }
        self.sockets.get_mut(place)
    }

    fn take(&mut self, socket: u64) -> Option<Entry<O>> {
        let place = usize::try_from(socket).ok()?;
        self.sockets.get_mut(place)?.entry.take()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<O>> {
        let on_sockets = self.sockets.iter().filter_map(|place| place.entry.as_ref());
        on_sockets.chain(&self.sleepers)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::Write;
    use std::net::TcpListener;
    use std::pin::{pin, Pin};
    use std::task::{Context, Waker};
    use std::time::Duration;

    use aerospike_rt::net::TcpStream;
    use rustix::event::{poll, PollFd, PollFlags};
    use tokio::io::{AsyncRead, ReadBuf};
    use tokio::runtime::Runtime;

    use super::*;

    /// What a task waits for that reads, on a descriptor where nothing has arrived.
    fn reading(runtime: &Runtime, stream: &mut TcpStream) -> Step {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut step, mut bytes) = (Step::default(), [0; 8]);
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = step.take(runtime.handle(), 0, || {
            Pin::new(stream).poll_read(&mut cx, &mut buffer)
        });
        assert!(polled.is_pending());
        step
    }

    /// What a task waits for that sleeps.
    fn sleeping(runtime: &Runtime, time: Duration) -> Step {
        let mut cx = Context::from_waker(Waker::noop());
        let mut step = Step::default();
        let polled = step.take(runtime.handle(), 0, || {
            pin!(aerospike_rt::sleep(time)).poll(&mut cx)
        });
        assert!(polled.is_pending());
        step
    }

    fn connect(runtime: &Runtime) -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let near = runtime.block_on(TcpStream::connect(address)).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// Those who are due once the loop has something to look after.
    fn due(watch: &Watch<&'static str>) -> Vec<&'static str> {
        // SAFETY: the watch owns the descriptor and outlives this call.
        let set = unsafe { BorrowedFd::borrow_raw(watch.descriptor()) };
        poll(&mut [PollFd::from_borrowed_fd(set, PollFlags::IN)], None).unwrap();
        let mut due = Vec::new();
        watch.look(&mut due);
        due.iter().map(|operation| **operation).collect()
    }

    #[test]
    fn those_are_due_whose_socket_is_ready_or_whose_time_is_up() {
        let runtime = Runtime::new().unwrap();
        let watch = Watch::new().unwrap();
        let (mut near, mut far) = connect(&runtime);
        let (mut quiet, _kept) = connect(&runtime);
        let mut displaced = Vec::new();
        let steps = [
            ("reads", reading(&runtime, &mut near)),
            ("reads in vain", reading(&runtime, &mut quiet)),
            ("sleeps", sleeping(&runtime, Duration::from_millis(20))),
            ("sleeps long", sleeping(&runtime, Duration::from_secs(60))),
        ];
        for (name, step) in &steps {
            watch.wait(&Arc::new(*name), step, &mut displaced).unwrap();
        }
        assert!(displaced.is_empty());
        assert_eq!(due(&watch), ["sleeps"]);
        far.write_all(b"x").unwrap();
        assert_eq!(due(&watch), ["reads"]);
        watch.ring();
        assert!(due(&watch).is_empty());
        let left = watch.take_all();
        let left: Vec<&str> = left.iter().map(|operation| **operation).collect();
        assert_eq!(left, ["reads in vain", "sleeps long"]);
    }

    #[test]
    fn who_has_lost_its_descriptor_to_another_operation_is_not_forgotten() {
        let runtime = Runtime::new().unwrap();
        let watch = Watch::new().unwrap();
        let (mut near, _far) = connect(&runtime);
        let step = reading(&runtime, &mut near);
        let (first, second) = (Arc::new("first"), Arc::new("second"));
        let mut displaced = Vec::new();
        watch.wait(&first, &step, &mut displaced).unwrap();
        watch.wait(&first, &step, &mut displaced).unwrap();
        assert!(displaced.is_empty());
        watch.wait(&second, &step, &mut displaced).unwrap();
        assert!(displaced.len() == 1 && Arc::ptr_eq(&displaced[0], &first));
        watch.forget(&first);
        let left = watch.take_all();
        assert!(left.len() == 1 && Arc::ptr_eq(&left[0], &second));
    }
}
