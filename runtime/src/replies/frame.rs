//! The messages of a batch reply: where each ends, and whether its bins can be left in the frame.
//!
//! A message may be looked at while it is still arriving. What is not as it should be is not
//! judged here: the driver gets to see it.

use super::msgpack::Open;
use super::particle::{Operation, OPERATION_HEADER};

/// Bytes before the messages of a frame: version, type, and the size of what follows.
pub const FRAME_HEADER: usize = 8;
/// Bytes before the fields of a message.
pub const MESSAGE_HEADER: usize = 22;
/// Bytes before the value of a field: its size, and what it is.
const FIELD_SIZE: usize = 4;

const PROTOCOL_VERSION: u8 = 2;
const TYPE_MESSAGES: u8 = 3;

const INFO1_READ: u8 = 1;
const INFO1_BATCH: u8 = 1 << 3;
const INFO3_LAST: u8 = 1;
const FIELD_BATCH: u8 = 41;

const OK: u8 = 0;
const NOT_FOUND: u8 = 2;
const FILTERED_OUT: u8 = 27;
const UDF_FAILED: u8 = 100;

/// The size of what follows the header of a frame with messages; `None` for anything else.
#[must_use]
pub fn frame_size(header: &[u8; FRAME_HEADER]) -> Option<usize> {
    let [PROTOCOL_VERSION, TYPE_MESSAGES, size @ ..] = header else {
        return None;
    };
    let size = size
        .iter()
        .fold(0u64, |size, &byte| (size << 8) | u64::from(byte));
    usize::try_from(size).ok()
}

/// The header of a frame with `size` bytes of messages.
#[must_use]
pub fn frame_header(size: usize) -> [u8; FRAME_HEADER] {
    let mut header = (size as u64).to_be_bytes();
    header[0] = PROTOCOL_VERSION;
    header[1] = TYPE_MESSAGES;
    header
}

/// Whether `command` is, from its first to its last byte, a batch whose first row only reads.
///
/// The driver repeats the attributes of the first row for all of a plain batch read.
#[must_use]
pub fn is_batch_read(command: &[u8]) -> bool {
    read_of_batch(command).is_some()
}

/// Whether `command` is, from its first to its last byte, the read of one record.
#[must_use]
pub fn is_read(command: &[u8]) -> bool {
    let Some((header, body)) = command.split_first_chunk::<FRAME_HEADER>() else {
        return false;
    };
    let [_, info1, info2, ..] = body else {
        return false;
    };
    info1 & (INFO1_READ | INFO1_BATCH) == INFO1_READ
        && *info2 == 0
        && frame_size(header) == Some(body.len())
}

fn read_of_batch(command: &[u8]) -> Option<()> {
    const ROW_INFO: u8 = 0x02;
    // Count and flags of the batch; index and digest of its first row.
    const BEFORE_FIRST_ROW: usize = 4 + 1 + 4 + 20;
    let (header, body) = command.split_first_chunk::<FRAME_HEADER>()?;
    let (message, mut fields) = body.split_first_chunk::<MESSAGE_HEADER>()?;
    let whole = frame_size(header)? == body.len();
    let batch = usize::from(message[0]) == MESSAGE_HEADER && message[1] & INFO1_BATCH != 0;
    if !(whole && batch) {
        return None;
    }
    for _ in 0..u16::from_be_bytes([message[18], message[19]]) {
        let (size, rest) = fields.split_first_chunk::<FIELD_SIZE>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        fields = rest;
        if let [FIELD_BATCH, rows @ ..] = field {
            let [kind, info1, info2, ..] = rows.get(BEFORE_FIRST_ROW..)? else {
                return None;
            };
            let plain = kind & ROW_INFO != 0 && info1 & INFO1_READ != 0 && *info2 == 0;
            return plain.then_some(());
        }
    }
    None
}

/// A message that is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its bytes.
    pub size: usize,
    /// Of those, the ones before its bins.
    pub head: usize,
    /// How many bins follow, all of them such that they can be read later on.
    ///
    /// Zero if there are none, or one that is better left to the driver.
    pub bins: u16,
    /// Whether the reply ends with it.
    pub is_last: bool,
}

/// What a look at a message found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is all there.
    Complete(Message),
    /// More of it has to arrive; so many bytes at least, from its beginning on.
    Needs(usize),
    /// Only the driver can say what this is.
    Foreign,
}

/// A walk over one message that goes on where it stopped when more has arrived.
#[derive(Debug, Default)]
pub struct Walk {
    /// Bytes that have been walked over; zero before the header.
    at: usize,
    fields_left: u16,
    operations_left: u16,
    head: usize,
    bins: u16,
    readable: bool,
    is_last: bool,
}

impl Walk {
    /// Goes on with the message that begins with `bytes`, of a frame with `frame_left` bytes from
    /// there on. After a complete message the walk is ready for the next one.
    pub fn advance(&mut self, bytes: &[u8], frame_left: usize, open: &mut Vec<Open>) -> Progress {
        if self.at == 0 {
            let Some(header) = bytes.first_chunk::<MESSAGE_HEADER>() else {
                return needs(MESSAGE_HEADER, frame_left);
            };
            if !self.begin(header) {
                return Progress::Foreign;
            }
        }
        while self.fields_left > 0 {
            match field_size(&bytes[self.at..]) {
                Step::Over(size) => self.at += size,
                Step::Needs(more) => return needs(self.at.saturating_add(more), frame_left),
                Step::Foreign => return Progress::Foreign,
            }
            self.fields_left -= 1;
            self.head = self.at;
        }
        while self.operations_left > 0 {
            match self.operation(&bytes[self.at..], open) {
                Step::Over(size) => self.at += size,
                Step::Needs(more) => return needs(self.at.saturating_add(more), frame_left),
                Step::Foreign => return Progress::Foreign,
            }
            self.operations_left -= 1;
        }
        let message = Message {
            size: self.at,
            head: self.head,
            bins: if self.readable { self.bins } else { 0 },
            is_last: self.is_last,
        };
        // Whatever follows the last message in its frame, the driver throws away.
        if message.size > frame_left || (message.is_last && message.size != frame_left) {
            return Progress::Foreign;
        }
        *self = Walk::default();
        Progress::Complete(message)
    }

    /// Takes the header in; whether it is one whose message the driver would walk over as this does.
    fn begin(&mut self, header: &[u8; MESSAGE_HEADER]) -> bool {
        let code = header[5];
        let fields = u16::from_be_bytes([header[18], header[19]]);
        let operations = u16::from_be_bytes([header[20], header[21]]);
        let has_bins = code == OK;
        let is_last = header[3] & INFO3_LAST != 0;
        let is_bare = matches!(code, NOT_FOUND | FILTERED_OUT);
        let is_end = is_last && (is_bare || matches!(code, OK | UDF_FAILED));
        if usize::from(header[0]) != MESSAGE_HEADER
            || (is_bare && operations != 0)
            || (is_end && (fields, operations) != (0, 0))
        {
            return false;
        }
        *self = Walk {
            at: MESSAGE_HEADER,
            fields_left: fields,
            operations_left: operations,
            head: MESSAGE_HEADER,
            bins: operations,
            readable: has_bins,
            is_last,
        };
        true
    }

    #[inline]
    fn operation(&mut self, bytes: &[u8], open: &mut Vec<Open>) -> Step {
        let Some(header) = bytes.first_chunk::<OPERATION_HEADER>() else {
            return Step::Needs(OPERATION_HEADER);
        };
        let Some(size) = Operation::size(header) else {
            return Step::Foreign;
        };
        let Some(bytes) = bytes.get(..size) else {
            return Step::Needs(size);
        };
        if self.readable {
            self.readable = Operation::read(bytes).is_some_and(|read| read.is_sound(open));
        }
        Step::Over(size)
    }
}

enum Step {
    Over(usize),
    Needs(usize),
    Foreign,
}

fn field_size(bytes: &[u8]) -> Step {
    let Some(size) = bytes.first_chunk::<FIELD_SIZE>() else {
        return Step::Needs(FIELD_SIZE);
    };
    match u32::from_be_bytes(*size) as usize {
        0 => Step::Foreign,
        size => match size.checked_add(FIELD_SIZE) {
            Some(size) if bytes.len() >= size => Step::Over(size),
            Some(size) => Step::Needs(size),
            None => Step::Foreign,
        },
    }
}

fn needs(bytes: usize, frame_left: usize) -> Progress {
    if bytes > frame_left {
        return Progress::Foreign;
    }
    Progress::Needs(bytes)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
pub(in crate::replies) mod tests;
