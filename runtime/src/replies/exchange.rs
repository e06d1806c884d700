//! One batch read on one connection: its reply is read in large blocks, the bins of its rows stay
//! in what was read, and the driver is served the same reply without them.
//!
//! An exchange begins when its command is written and belongs to the connection, because the
//! driver may go on reading after the operation has ended (to use a connection again after a
//! time-out). It holds what has arrived since the last rows were served: at most
//! [`SERVE_AFTER`] bytes, one block, or one record, whichever is largest.
//!
//! Whatever the scan does not know, from there on to the end of the exchange, is passed to the
//! driver byte for byte.

use std::io;
use std::sync::Arc;
use std::task::{ready, Context, Poll};

use tokio::io::ReadBuf;

use super::frame::{
    frame_header, frame_size, is_batch_read, Message, Progress, Walk, FRAME_HEADER,
};
use super::msgpack::Open;
use super::sink::{SegmentId, Sink, Slot, MAX_SLOTS};
use super::{GENERATION, OPERATION_COUNT};

/// Smallest and largest block that is asked for at once.
const MIN_BLOCK: usize = 4 << 10;
const MAX_BLOCK: usize = 256 << 10;
/// Rows are served when so much has arrived, though the frame may go on: the driver's time-out for
/// reads is meant to pass between blocks, not between replies.
const SERVE_AFTER: usize = 256 << 10;
/// The largest record that is kept; servers refuse to store half of that.
const MAX_RECORD: usize = 16 << 20;
/// What a connection keeps for the driver's side of the next exchange.
const MAX_IDLE_BYTES: usize = 32 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between exchanges, or the driver reads for itself.
    Idle,
    /// Frames are read and their rows served.
    Reading,
    /// The end of the reply is served.
    Ending,
    /// What was read ahead is served as it came.
    Passing,
}

/// The exchange of a connection.
#[derive(Debug)]
pub struct Exchange {
    phase: Phase,
    sink: Option<Arc<Sink>>,
    received: Vec<u8>,
    /// Where the first message lies in `received` that has not been passed over.
    at: usize,
    /// Bytes of the frame from there on, whether or not they have arrived; zero between frames.
    frame_left: usize,
    walk: Walk,
    /// Where the next look at that message needs `received` to reach.
    needed: usize,
    segment: Option<SegmentId>,
    slots: Vec<Slot>,
    rows: usize,
    /// Frames for the driver, of which it has read so much.
    served: Vec<u8>,
    served_until: usize,
    /// Where the last of them begins while rows are still being added to it.
    unfinished: usize,
    /// How much the last reply took, and its rows: the next one is likely to take as much.
    expected: usize,
    expected_rows: usize,
    total: usize,
    open: Vec<Open>,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            phase: Phase::Idle,
            sink: None,
            received: Vec::new(),
            at: 0,
            frame_left: 0,
            walk: Walk::default(),
            needed: 0,
            segment: None,
            slots: Vec::new(),
            rows: 0,
            served: Vec::new(),
            served_until: 0,
            unfinished: 0,
            expected: MIN_BLOCK,
            expected_rows: 0,
            total: 0,
            open: Vec::new(),
        }
    }
}

impl Exchange {
    /// Whether `command` is one whose exchange may begin.
    #[inline]
    #[must_use]
    pub fn concerns(command: &[u8]) -> bool {
        is_batch_read(command)
    }

    /// Begins if `command` is a batch read; to be called before the command is written.
    ///
    /// Called again for the rest of a command that the socket took a part of, it goes on.
    pub fn begin(&mut self, command: &[u8], sink: impl FnOnce() -> Option<Arc<Sink>>) {
        let wanted = if is_batch_read(command) { sink() } else { None };
        if wanted.is_some() {
            self.reset();
            self.sink = wanted;
            self.phase = Phase::Reading;
        } else if self.is_active() && !(self.phase == Phase::Reading && self.total == 0) {
            self.reset();
        }
    }

    /// Whether reads go through this exchange.
    #[inline]
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Whether bytes were read from the socket that the driver has not seen: after the end of a
    /// reply, nobody has asked for them.
    #[must_use]
    pub fn holds_bytes(&self) -> bool {
        self.is_active() && (self.served_until < self.served.len() || !self.received.is_empty())
    }

    /// A read of the driver's, where `fill` reads from the socket.
    ///
    /// # Errors
    /// What `fill` reports.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        mut fill: impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.serve(buffer) {
                return Poll::Ready(Ok(()));
            }
            if self.phase != Phase::Reading {
                return fill(cx, buffer);
            }
            let before = self.received.len();
            self.make_room();
            let mut room = ReadBuf::uninit(self.received.spare_capacity_mut());
            ready!(fill(cx, &mut room))?;
            let bytes = room.filled().len();
            if bytes == 0 {
                return Poll::Ready(Ok(()));
            }
            // SAFETY: `room` is the spare capacity, and so many of its first bytes are filled.
            unsafe { self.received.set_len(before + bytes) };
            self.total = self.total.saturating_add(bytes);
            if self.received.len() >= self.needed {
                self.scan();
            }
        }
    }

    /// Hands served bytes to the driver; whether there were any.
    fn serve(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.rows > 0 || self.served.is_empty() {
            return false;
        }
        let waiting = &self.served[self.served_until..];
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..count]);
        self.served_until += count;
        if self.served_until == self.served.len() {
            self.served.clear();
            self.served_until = 0;
            match self.phase {
                Phase::Ending if self.received.is_empty() => self.reset(),
                // Nobody has asked for what is left: it stays to be found by `holds_bytes`.
                Phase::Ending => {}
                Phase::Passing => self.reset(),
                Phase::Reading | Phase::Idle => {}
            }
        }
        true
    }

    fn make_room(&mut self) {
        if self.received.capacity() == 0 {
            self.received = Vec::with_capacity(self.expected.clamp(MIN_BLOCK, MAX_BLOCK));
            return;
        }
        let missing = (self.at + self.frame_left).saturating_sub(self.received.len());
        let wanted = missing.clamp(FRAME_HEADER, MAX_BLOCK);
        if self.received.capacity() - self.received.len() < wanted.min(MAX_BLOCK / 4) {
            self.received.reserve(wanted);
        }
    }

    /// Passes over the messages that have arrived, and serves them when it is time.
    fn scan(&mut self) {
        loop {
            if self.frame_left == 0 {
                let Some(header) = self.received[self.at..].first_chunk::<FRAME_HEADER>() else {
                    self.needed = self.at + FRAME_HEADER;
                    break;
                };
                match frame_size(header) {
                    None | Some(0) => return self.pass_on(),
                    Some(size) => {
                        self.frame_left = size;
                        self.at += FRAME_HEADER;
                    }
                }
            }
            let message = &self.received[self.at..];
            match self.walk.advance(message, self.frame_left, &mut self.open) {
                Progress::Complete(message) => {
                    // After a time-out the driver finds the end of a reply only in a frame of its own.
                    if message.is_last {
                        self.serve_rows();
                    }
                    self.serve_later(message);
                    self.at += message.size;
                    self.frame_left -= message.size;
                    if message.is_last {
                        return self.finish();
                    }
                    if self.slots.len() == MAX_SLOTS {
                        self.serve_rows();
                        self.keep();
                    }
                }
                Progress::Needs(size) if size > MAX_RECORD => return self.pass_on(),
                Progress::Needs(size) => {
                    self.needed = self.at + size;
                    break;
                }
                Progress::Foreign => return self.pass_on(),
            }
        }
        let is_between_frames = self.frame_left == 0 && self.at == self.received.len();
        if self.rows > 0 && (is_between_frames || self.at >= SERVE_AFTER) {
            self.serve_rows();
            self.keep();
        }
    }

    /// Adds a message to the frame for the driver: without its bins, if they can be read later.
    fn serve_later(&mut self, message: Message) {
        if self.rows == 0 {
            self.unfinished = self.served.len();
            self.served.extend_from_slice(&[0; FRAME_HEADER]);
        }
        self.rows += 1;
        let tag = match message.bins {
            0 => None,
            _ => self.tag(),
        };
        let bytes = &self.received[self.at..self.at + message.size];
        let (Some(tag), Ok(start)) = (tag, u32::try_from(self.at + message.head)) else {
            self.served.extend_from_slice(bytes);
            return;
        };
        let head = self.served.len();
        self.served.extend_from_slice(&bytes[..message.head]);
        let head = &mut self.served[head..];
        let generation = &mut head[GENERATION];
        self.slots.push(Slot {
            start,
            bins: message.bins,
            generation: generation
                .iter()
                .fold(0, |all, &byte| (all << 8) | u32::from(byte)),
        });
        generation.copy_from_slice(&tag.to_be_bytes());
        head[OPERATION_COUNT].fill(0);
    }

    /// A tag for the next row, unless nobody wants its bins.
    fn tag(&mut self) -> Option<u32> {
        if self.segment.is_none() {
            self.segment = self.sink.as_ref()?.begin();
            self.slots.reserve(self.expected_rows);
        }
        Some(self.segment?.tag(u16::try_from(self.slots.len()).ok()?))
    }

    /// Lets the driver read the frame that has been put together.
    fn serve_rows(&mut self) {
        if self.rows > 0 {
            let frame = &mut self.served[self.unfinished..];
            let size = frame.len() - FRAME_HEADER;
            frame[..FRAME_HEADER].copy_from_slice(&frame_header(size));
            self.rows = 0;
        }
    }

    /// Gives the bytes of the rows so far to the sink, and goes on with what follows them.
    fn keep(&mut self) {
        self.expected_rows = self.slots.len();
        let slots = std::mem::take(&mut self.slots);
        if let (Some(sink), Some(segment)) = (&self.sink, self.segment.take()) {
            let rest = &self.received[self.at..];
            let mut next = Vec::new();
            if !rest.is_empty() {
                next.reserve(rest.len().max(MIN_BLOCK));
                next.extend_from_slice(rest);
            }
            let mut bytes = std::mem::replace(&mut self.received, next);
            bytes.truncate(self.at);
            sink.keep(segment, bytes, slots);
        } else {
            self.received.drain(..self.at);
        }
        self.needed = self.needed.saturating_sub(self.at);
        self.at = 0;
    }

    fn finish(&mut self) {
        self.serve_rows();
        self.keep();
        self.expected = self.total + MIN_BLOCK / 4;
        self.phase = Phase::Ending;
        self.sink = None;
    }

    /// Leaves the rest of the exchange, and of the frame it is in the middle of, to the driver.
    fn pass_on(&mut self) {
        self.serve_rows();
        if self.frame_left > 0 {
            self.served
                .extend_from_slice(&frame_header(self.frame_left));
        }
        self.served.extend_from_slice(&self.received[self.at..]);
        self.received.truncate(self.at);
        self.keep();
        self.phase = Phase::Passing;
        self.sink = None;
    }

    fn reset(&mut self) {
        let (expected, expected_rows) = (self.expected, self.expected_rows);
        let mut served = std::mem::take(&mut self.served);
        served.clear();
        served.shrink_to(MAX_IDLE_BYTES);
        *self = Exchange {
            served,
            expected,
            expected_rows,
            open: std::mem::take(&mut self.open),
            ..Exchange::default()
        };
        self.open.shrink_to(super::msgpack::MAX_DEPTH);
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
