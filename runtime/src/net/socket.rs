//! A non-blocking socket that is registered with the runtime's reactor only while somebody waits for it
//! there. A thread that drives an operation by itself waits for the bare socket.

use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::arrival;
use crate::direct::{self, Readiness};

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    state: State,
    /// A command has been written, and nobody has waited for the reply.
    asked: bool,
    /// A connection whose other side is closed.
    closed: BorrowedFd<'static>,
    /// The stream's own number, which no other stream of this process has.
    number: u64,
    /// The kernel says when replies arrive.
    dated: bool,
    /// When the last of what was read last had arrived.
    arrived: Option<u64>,
}

static STREAMS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
enum State {
    Bare(TcpStream),
    Registered(tokio::net::TcpStream),
    /// Registering or deregistering failed; the connection is gone.
    Lost,
}

fn lost() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl Socket {
    /// A socket that nobody waits for.
    pub(super) fn new(stream: tokio::net::TcpStream) -> io::Result<Self> {
        Ok(Socket {
            state: State::Bare(stream.into_std()?),
            asked: false,
            closed: closed()?,
            number: STREAMS.fetch_add(1, Ordering::Relaxed),
            dated: false,
            arrived: None,
        })
    }

    /// Registers the socket. Must run inside a runtime.
    fn registered(&mut self) -> io::Result<Pin<&mut tokio::net::TcpStream>> {
        if let State::Bare(_) = self.state {
            if let State::Bare(stream) = std::mem::replace(&mut self.state, State::Lost) {
                self.state = State::Registered(tokio::net::TcpStream::from_std(stream)?);
            }
        }
        match &mut self.state {
            State::Registered(stream) => Ok(Pin::new(stream)),
            State::Bare(_) | State::Lost => Err(lost()),
        }
    }

    /// The bare socket, if it is one; on a thread that drives it becomes one.
    fn bare(&mut self) -> io::Result<Option<&TcpStream>> {
        if let State::Registered(_) = self.state {
            if !direct::is_active() {
                return Ok(None);
            }
            if let State::Registered(stream) = std::mem::replace(&mut self.state, State::Lost) {
                self.state = State::Bare(stream.into_std()?);
            }
        }
        match &self.state {
            State::Bare(stream) => Ok(Some(stream)),
            State::Registered(_) => Ok(None),
            State::Lost => Err(lost()),
        }
    }

    /// Whether nobody has asked yet for the reply to the command that has just been written; told once.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether the reply to the command that has just been written can be waited for without
    /// looking whether it is there: the thread is about to sleep on the socket anyway, if it has not
    /// done so by now.
    #[inline]
    pub(super) fn waits_at_once(&self) -> bool {
        match &self.state {
            State::Bare(stream) => {
                let socket = stream.as_raw_fd();
                !direct::pause_for(socket)
                    && direct::wait_for(socket, self.number, Readiness::Readable)
            }
            State::Registered(_) | State::Lost => false,
        }
    }

    /// Reads; `is_late` asks the kernel when what is read has arrived, if it has been told to take
    /// notice of that.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        is_late: bool,
    ) -> Poll<io::Result<()>> {
        let number = self.number;
        let dated = is_late && self.dated && direct::dates_arrivals();
        if let Some(stream) = self.bare()? {
            let socket = stream.as_raw_fd();
            let read = if dated {
                until_done(|| arrival::read(socket, buffer))
            } else {
                until_done(|| read(stream, buffer)).map(|()| None)
            };
            match read {
                Ok(arrived) => {
                    self.arrived = arrived;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                Err(_) if direct::wait_for(socket, number, Readiness::Readable) => {
                    return Poll::Pending;
                }
                Err(_) => {}
            }
        }
        self.registered()?.poll_read(cx, buffer)
    }

    /// When the last of what was read last had arrived; told once.
    #[inline]
    pub(super) fn take_arrival(&mut self) -> Option<u64> {
        self.arrived.take()
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(
            |mut stream| stream.write(buffer),
            |stream| stream.poll_write(cx, buffer),
        )
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(
            |mut stream| stream.write_vectored(buffers),
            |stream| stream.poll_write_vectored(cx, buffers),
        )
    }

    fn poll_send(
        &mut self,
        bare: impl Fn(&TcpStream) -> io::Result<usize>,
        registered: impl FnOnce(Pin<&mut tokio::net::TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        let number = self.number;
        let undated = !self.dated && direct::dates_arrivals();
        self.dated |= undated;
        if let Some(stream) = self.bare()? {
            if undated {
                arrival::ask(stream.as_raw_fd());
            }
            match until_done(|| bare(stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if direct::wait_for(stream.as_raw_fd(), number, Readiness::Writable) {
                        return Poll::Pending;
                    }
                }
                done => return Poll::Ready(done),
            }
        }
        registered(self.registered()?)
    }

    pub(super) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match &self.state {
            State::Bare(stream) => stream.set_nodelay(nodelay),
            State::Registered(stream) => stream.set_nodelay(nodelay),
            State::Lost => Err(lost()),
        }
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.state {
            State::Bare(stream) => stream.peer_addr(),
            State::Registered(stream) => stream.peer_addr(),
            State::Lost => Err(lost()),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn shutdown(&self) -> io::Result<()> {
        match &self.state {
            State::Bare(stream) => stream.shutdown(Shutdown::Write),
            State::Registered(stream) => {
                rustix::net::shutdown(stream, rustix::net::Shutdown::Write).map_err(io::Error::from)
            }
            State::Lost => Err(lost()),
        }
    }

    /// What looks like this connection would if the other side had closed it.
    pub(super) fn as_closed_fd(&self) -> BorrowedFd<'_> {
        self.closed
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.state {
            State::Bare(stream) => stream.as_fd(),
            State::Registered(stream) => stream.as_fd(),
            State::Lost => self.closed,
        }
    }
}

/// Reads into what is free of `buffer`, which need not be initialised for that.
fn read(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    // SAFETY: nothing in it is made uninitialised, it is only written to.
    let free = unsafe { buffer.unfilled_mut() };
    let (filled, _) = rustix::io::read(stream, free)?;
    let bytes = filled.len();
    // SAFETY: so many bytes were just read into the beginning of the free part.
    unsafe { buffer.assume_init(bytes) };
    buffer.advance(bytes);
    Ok(())
}

/// Repeats a call that a signal has interrupted.
fn until_done<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A connection whose other side is closed, the same one for everybody.
fn closed() -> io::Result<BorrowedFd<'static>> {
    static CLOSED: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(closed) = CLOSED.get() {
        return Ok(closed.as_fd());
    }
    let (kept, _) = UnixStream::pair()?;
    Ok(CLOSED.get_or_init(|| kept.into()).as_fd())
}
