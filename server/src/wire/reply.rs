//! Building replies: message headers, fields and result operations appended to a growing buffer.

use super::{code, flags, op};

/// The parts of a reply header that vary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplyHeader {
    pub(crate) info3: u8,
    pub(crate) result: u8,
    pub(crate) generation: u32,
    pub(crate) void_time: u32,
    /// A batch row's index; zero elsewhere.
    pub(crate) index: u32,
    pub(crate) fields: u16,
    pub(crate) ops: u16,
}

/// Appends a message header.
pub(crate) fn put_header(out: &mut Vec<u8>, header: ReplyHeader) {
    let mut bytes = [0u8; super::message::MESSAGE_HEADER_SIZE];
    bytes[0] = super::message::MESSAGE_HEADER_SIZE as u8;
    bytes[3] = header.info3;
    bytes[5] = header.result;
    bytes[6..10].copy_from_slice(&header.generation.to_be_bytes());
    bytes[10..14].copy_from_slice(&header.void_time.to_be_bytes());
    bytes[14..18].copy_from_slice(&header.index.to_be_bytes());
    bytes[18..20].copy_from_slice(&header.fields.to_be_bytes());
    bytes[20..22].copy_from_slice(&header.ops.to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// Appends a message that is nothing but a result code.
pub(crate) fn put_result(out: &mut Vec<u8>, result: u8, index: u32) {
    put_header(
        out,
        ReplyHeader {
            result,
            index,
            ..ReplyHeader::default()
        },
    );
}

/// Appends the message that ends a stream of messages.
pub(crate) fn put_last(out: &mut Vec<u8>, result: u8, index: u32) {
    put_header(
        out,
        ReplyHeader {
            info3: flags::INFO3_LAST,
            result,
            index,
            ..ReplyHeader::default()
        },
    );
}

/// Appends the message that says a partition's records have all been sent, or that it is not served here.
pub(crate) fn put_partition_done(out: &mut Vec<u8>, partition: u16, served: bool) {
    put_header(
        out,
        ReplyHeader {
            info3: flags::INFO3_PARTITION_DONE,
            result: if served { code::OK } else { code::UNAVAILABLE },
            generation: u32::from(partition),
            ..ReplyHeader::default()
        },
    );
}

/// Appends one result operation: a bin's name, type and value.
pub(crate) fn put_op(out: &mut Vec<u8>, name: &[u8], kind: u8, value: &[u8]) {
    out.extend_from_slice(&((4 + name.len() + value.len()) as u32).to_be_bytes());
    out.extend_from_slice(&[op::READ, kind, 0, name.len() as u8]);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Appends one field.
pub(crate) fn put_field(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.extend_from_slice(&((value.len() + 1) as u32).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(value);
}
