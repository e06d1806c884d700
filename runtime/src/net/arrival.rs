//! When a reply arrived, as the kernel saw it. The thread of an event loop finds a reply whenever it
//! gets to it; how long the reply has been there by then is the loop's doing, not the network's.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aerospike_stages::clock;
use tokio::io::ReadBuf;

/// Replies without a stamp in a row before the kernel is taken for one that has none.
const PATIENCE: u32 = 16;
/// Replies without a stamp mean nothing for so long after the kernel was first asked for stamps: it begins
/// to stamp in the background, which waits for a processor.
const GRACE_NS: u64 = 1_000_000_000;
/// When the kernel was first asked, on the recorder's clock; zero if it has not been.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// Replies that had no stamp, as long as none has had one.
static UNSTAMPED: AtomicU32 = AtomicU32::new(0);
/// The count once there has been a stamp.
const KNOWN: u32 = u32::MAX;

/// Whether this system does not say when replies arrive.
pub fn is_unknown() -> bool {
    is_missing(UNSTAMPED.load(Ordering::Relaxed))
}

fn is_missing(unstamped: u32) -> bool {
    (PATIENCE..KNOWN).contains(&unstamped)
}

/// Room for one time stamp and its header.
const CONTROL_BYTES: usize = 64;

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Has the kernel stamp what arrives at a socket. Where it does not, arrivals stay unknown.
pub(super) fn ask(socket: RawFd) {
    let now = clock::now_ns().max(1);
    let _ = ASKED.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    let on: libc::c_int = 1;
    // SAFETY: the value is an integer of the length that is given, and outlives the call. A socket
    // that is closed or no socket is an error, which is of no consequence.
    unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Reads, and says when the last of what was read had arrived, on the recorder's clock.
pub(super) fn read(socket: RawFd, buffer: &mut ReadBuf<'_>) -> io::Result<Option<u64>> {
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: nothing in it is made uninitialised, it is only written to.
    let free = unsafe { buffer.unfilled_mut() };
    let mut space = libc::iovec {
        iov_base: free.as_mut_ptr().cast(),
        iov_len: free.len(),
    };
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut space;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(&mut control).cast();
    message.msg_controllen = CONTROL_BYTES as _;
    // The C library's function of that name is a point at which threads can be cancelled, and spends more time on that
    // than on the call.
    // SAFETY: the arguments are those of the call, which is there on every Linux. Every pointer in the message is to a
    // live local, or to the free part of the buffer, of the length that is given.
    let read = unsafe {
        libc::syscall(
            libc::SYS_recvmsg,
            socket,
            std::ptr::from_mut(&mut message),
            libc::MSG_DONTWAIT,
        )
    };
    let Ok(bytes) = usize::try_from(read) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: so many bytes were just read into the beginning of the free part.
    unsafe { buffer.assume_init(bytes) };
    buffer.advance(bytes);
    let now = clock::now_ns();
    let arrived = stamp_of(&message).and_then(|stamp| on_the_recorders_clock(stamp, now));
    if bytes > 0 {
        let asked_for = now.saturating_sub(ASKED.load(Ordering::Relaxed));
        remember(&UNSTAMPED, arrived.is_some(), asked_for);
    }
    Ok(arrived)
}

/// Counts in `unstamped` what a reply says that came so many nanoseconds after stamps were asked for.
fn remember(unstamped: &AtomicU32, stamped: bool, asked_for: u64) {
    if stamped {
        if unstamped.load(Ordering::Relaxed) != KNOWN {
            unstamped.store(KNOWN, Ordering::Relaxed);
        }
    } else if asked_for >= GRACE_NS {
        let more = |count: u32| (count < PATIENCE).then(|| count + 1);
        let _ = unstamped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// The wall clock's time that the kernel has stamped a message with, in nanoseconds.
fn stamp_of(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel has filled the message in, which points to a live control buffer.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: a header of this kind is followed by one `timespec`, which need not be aligned.
    let stamp: libc::timespec = unsafe {
        libc::CMSG_DATA(header)
            .cast::<libc::timespec>()
            .read_unaligned()
    };
    nanos_of(stamp.tv_sec, stamp.tv_nsec).filter(|nanos| *nanos > 0)
}

fn nanos_of(seconds: i64, nanos: i64) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add_signed(nanos)
}

fn on_the_recorders_clock(stamp: u64, now: u64) -> Option<u64> {
    Some(now.saturating_sub(wall_clock()?.saturating_sub(stamp)))
}

fn wall_clock() -> Option<u64> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local of the kind that is written.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) } != 0;
    nanos_of(now.tv_sec, now.tv_nsec).filter(|_| !failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    #[test]
    fn a_reply_has_been_there_since_it_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let socket = near.as_raw_fd();
        let mut bytes = [0; 16];
        far.write_all(b"first").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(read(socket, &mut ReadBuf::new(&mut bytes)).unwrap(), None);
        ask(socket);
        // The first packets after the kernel was asked for stamps may have none.
        std::thread::sleep(Duration::from_millis(20));
        let before = clock::now_ns();
        far.write_all(b"reply").unwrap();
        let sent = clock::now_ns();
        std::thread::sleep(Duration::from_millis(30));
        let mut reply = ReadBuf::new(&mut bytes);
        let arrived = read(socket, &mut reply).unwrap().unwrap();
        assert_eq!(reply.filled(), b"reply");
        assert!(!is_unknown());
        let tolerance = 1_000_000;
        assert!(
            (before.saturating_sub(tolerance)..=sent + tolerance).contains(&arrived),
            "sent from {before} to {sent}, arrived at {arrived}"
        );
        let again = read(socket, &mut ReadBuf::new(&mut bytes));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_kernel_without_stamps_is_told_from_one_that_has_only_begun() {
        let unstamped = AtomicU32::new(0);
        let is_missing = || is_missing(unstamped.load(Ordering::Relaxed));
        for _ in 0..10 * PATIENCE {
            remember(&unstamped, false, GRACE_NS - 1);
        }
        assert!(!is_missing());
        for _ in 0..PATIENCE {
            assert!(!is_missing());
            remember(&unstamped, false, GRACE_NS);
        }
        assert!(is_missing());
        // A stamp settles it for good.
        remember(&unstamped, true, GRACE_NS);
        remember(&unstamped, false, GRACE_NS);
        assert!(!is_missing());
    }

    #[test]
    fn without_a_socket_nothing_is_read() {
        ask(1 << 20);
        assert!(read(1 << 20, &mut ReadBuf::new(&mut [0; 4])).is_err());
    }
}
