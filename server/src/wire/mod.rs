//! The wire protocol: constants, pure parsers and reply builders. No I/O and no storage here.

pub(crate) mod batch;
pub(crate) mod compress;
pub(crate) mod frame;
pub(crate) mod message;
pub(crate) mod reply;

use std::fmt;

/// Bytes of a record's digest.
pub(crate) const DIGEST_SIZE: usize = 20;

/// A record's identity inside its namespace.
pub(crate) type Digest = [u8; DIGEST_SIZE];

/// Number of partitions of every namespace.
pub(crate) const PARTITIONS: usize = 4096;

/// The partition a digest belongs to: the low twelve bits of its first two bytes.
pub(crate) fn partition_of(digest: &Digest) -> usize {
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) & (PARTITIONS - 1)
}

/// Header flags of a message.
pub(crate) mod flags {
    pub(crate) const INFO1_READ: u8 = 1;
    pub(crate) const INFO1_GET_ALL: u8 = 1 << 1;
    pub(crate) const INFO1_NO_BIN_DATA: u8 = 1 << 5;
    pub(crate) const INFO1_COMPRESS_RESPONSE: u8 = 1 << 7;
    pub(crate) const INFO2_WRITE: u8 = 1;
    pub(crate) const INFO2_DELETE: u8 = 1 << 1;
    pub(crate) const INFO2_GENERATION: u8 = 1 << 2;
    pub(crate) const INFO2_GENERATION_GT: u8 = 1 << 3;
    pub(crate) const INFO2_DURABLE_DELETE: u8 = 1 << 4;
    pub(crate) const INFO2_CREATE_ONLY: u8 = 1 << 5;
    pub(crate) const INFO2_RESPOND_ALL_OPS: u8 = 1 << 7;
    pub(crate) const INFO3_LAST: u8 = 1;
    pub(crate) const INFO3_PARTITION_DONE: u8 = 1 << 2;
    pub(crate) const INFO3_UPDATE_ONLY: u8 = 1 << 3;
    pub(crate) const INFO3_CREATE_OR_REPLACE: u8 = 1 << 4;
    pub(crate) const INFO3_REPLACE_ONLY: u8 = 1 << 5;
}

/// Field numbers of a message.
pub(crate) mod field {
    pub(crate) const NAMESPACE: u8 = 0;
    pub(crate) const SET: u8 = 1;
    pub(crate) const KEY: u8 = 2;
    pub(crate) const DIGEST: u8 = 4;
    pub(crate) const TRANSACTION_ID: u8 = 5;
    pub(crate) const SOCKET_TIMEOUT: u8 = 9;
    pub(crate) const RECORDS_PER_SECOND: u8 = 10;
    pub(crate) const PARTITIONS: u8 = 11;
    pub(crate) const DIGESTS: u8 = 12;
    pub(crate) const MAX_RECORDS: u8 = 13;
    pub(crate) const INDEX_NAME: u8 = 21;
    pub(crate) const INDEX_RANGE: u8 = 22;
    pub(crate) const UDF_PACKAGE: u8 = 30;
    pub(crate) const UDF_OP: u8 = 33;
    pub(crate) const BATCH: u8 = 41;
    pub(crate) const BATCH_WITH_SET: u8 = 42;
    pub(crate) const FILTER: u8 = 43;
    pub(crate) const WHERE: u8 = 44;
}

/// Operation numbers.
pub(crate) mod op {
    pub(crate) const READ: u8 = 1;
    pub(crate) const WRITE: u8 = 2;
    pub(crate) const CDT_READ: u8 = 3;
    pub(crate) const CDT_MODIFY: u8 = 4;
    pub(crate) const INCR: u8 = 5;
    pub(crate) const EXP_READ: u8 = 7;
    pub(crate) const EXP_MODIFY: u8 = 8;
    pub(crate) const APPEND: u8 = 9;
    pub(crate) const PREPEND: u8 = 10;
    pub(crate) const TOUCH: u8 = 11;
    pub(crate) const BITS_READ: u8 = 12;
    pub(crate) const BITS_MODIFY: u8 = 13;
    pub(crate) const DELETE_ALL: u8 = 14;
    pub(crate) const HLL_READ: u8 = 15;
    pub(crate) const HLL_MODIFY: u8 = 16;

    /// Whether the operation leaves the record as it was.
    pub(crate) fn is_read(op: u8) -> bool {
        matches!(op, READ | CDT_READ | EXP_READ | BITS_READ | HLL_READ)
    }
}

/// Types of bin values.
pub(crate) mod particle {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const INTEGER: u8 = 1;
    pub(crate) const FLOAT: u8 = 2;
    pub(crate) const STRING: u8 = 3;
    pub(crate) const BLOB: u8 = 4;
    pub(crate) const JAVA_BLOB: u8 = 7;
    pub(crate) const ERLANG_BLOB: u8 = 12;
    pub(crate) const BOOL: u8 = 17;
    pub(crate) const HLL: u8 = 18;
    pub(crate) const MAP: u8 = 19;
    pub(crate) const LIST: u8 = 20;
    pub(crate) const GEOJSON: u8 = 23;
}

/// Result codes of the server.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0;
    pub(crate) const NOT_FOUND: u8 = 2;
    pub(crate) const GENERATION: u8 = 3;
    pub(crate) const PARAMETER: u8 = 4;
    pub(crate) const RECORD_EXISTS: u8 = 5;
    pub(crate) const UNAVAILABLE: u8 = 11;
    pub(crate) const INCOMPATIBLE_TYPE: u8 = 12;
    pub(crate) const RECORD_TOO_BIG: u8 = 13;
    pub(crate) const UNSUPPORTED_FEATURE: u8 = 16;
    pub(crate) const KEY_MISMATCH: u8 = 19;
    pub(crate) const NAMESPACE: u8 = 20;
    pub(crate) const BIN_NAME: u8 = 21;
    pub(crate) const ENTERPRISE_ONLY: u8 = 25;
    pub(crate) const FILTERED_OUT: u8 = 27;
    pub(crate) const SECURITY_NOT_SUPPORTED: u8 = 51;
    pub(crate) const UDF_EXECUTION: u8 = 100;
    pub(crate) const INDEX_NOT_FOUND: u8 = 201;
}

/// Why bytes from a client cannot be a request. The connection they came on is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireError {
    /// The protocol version byte is not 2.
    Version(u8),
    /// The frame type is none that a client sends.
    FrameType(u8),
    /// The frame claims more bytes than the protocol allows.
    FrameTooLarge(u64),
    /// A length or count points past the bytes present.
    Truncated(&'static str),
    /// A value is outside what the protocol allows.
    Invalid(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Version(version) => write!(f, "protocol version {version}, expected 2"),
            WireError::FrameType(kind) => write!(f, "unknown frame type {kind}"),
            WireError::FrameTooLarge(size) => write!(f, "frame of {size} bytes is above the limit"),
            WireError::Truncated(what) => write!(f, "{what} points past the end of the frame"),
            WireError::Invalid(what) => write!(f, "invalid {what}"),
        }
    }
}

impl std::error::Error for WireError {}

/// Takes bytes off the front of a slice; every length a client claims is checked against the bytes present.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(WireError::Truncated(what)),
        }
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<&'a [u8; N], WireError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(WireError::Truncated(what)),
        }
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array::<1>(what).map(|bytes| bytes[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.array(what).map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(|bytes| u32::from_be_bytes(*bytes))
    }
}
