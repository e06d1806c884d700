//! The eight bytes in front of everything: protocol version, frame type, size.

use super::WireError;

/// Bytes of a frame header.
pub(crate) const HEADER_SIZE: usize = 8;

/// Largest frame body accepted, as in the real server.
pub(crate) const MAX_FRAME_SIZE: usize = 128 * 1024 * 1024;

const VERSION: u8 = 2;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameType {
    /// Text requests about the node.
    Info = 1,
    /// Security administration.
    Admin = 2,
    /// A command.
    Message = 3,
    /// A command compressed with zlib.
    Compressed = 4,
}

/// A parsed frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameType,
    pub(crate) size: usize,
}

/// Parses the header in front of a frame.
pub(crate) fn parse_header(bytes: &[u8; HEADER_SIZE]) -> Result<FrameHeader, WireError> {
    if bytes[0] != VERSION {
        return Err(WireError::Version(bytes[0]));
    }
    let kind = match bytes[1] {
        1 => FrameType::Info,
        2 => FrameType::Admin,
        3 => FrameType::Message,
        4 => FrameType::Compressed,
        other => return Err(WireError::FrameType(other)),
    };
    let size = u64::from_be_bytes(*bytes) & 0x0000_FFFF_FFFF_FFFF;
    match usize::try_from(size) {
        Ok(size) if size <= MAX_FRAME_SIZE => Ok(FrameHeader { kind, size }),
        _ => Err(WireError::FrameTooLarge(size)),
    }
}

/// Reserves a frame header at the end of `out` and returns where it starts.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_SIZE]);
    start
}

/// Fills in the header that `begin` reserved: everything after it is the frame's body.
pub(crate) fn end(out: &mut [u8], start: usize, kind: FrameType) {
    let size = (out.len() - start - HEADER_SIZE) as u64;
    let header = (u64::from(VERSION) << 56) | ((kind as u64) << 48) | size;
    out[start..start + HEADER_SIZE].copy_from_slice(&header.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_built_frame_parses_back() {
        let mut out = vec![0xAA];
        let start = begin(&mut out);
        out.extend_from_slice(b"node\n");
        end(&mut out, start, FrameType::Info);
        let header = parse_header(out[1..9].try_into().unwrap()).unwrap();
        assert_eq!(
            header,
            FrameHeader {
                kind: FrameType::Info,
                size: 5
            }
        );
    }

    #[test]
    fn wrong_version_type_and_size_are_refused() {
        assert_eq!(
            parse_header(&[1, 3, 0, 0, 0, 0, 0, 0]),
            Err(WireError::Version(1))
        );
        assert_eq!(
            parse_header(&[2, 9, 0, 0, 0, 0, 0, 0]),
            Err(WireError::FrameType(9))
        );
        assert_eq!(
            parse_header(&[2, 3, 0, 0, 0x08, 0, 0, 1]),
            Err(WireError::FrameTooLarge(128 * 1024 * 1024 + 1))
        );
        assert!(parse_header(&[2, 3, 0, 0, 0x08, 0, 0, 0]).is_ok());
    }
}
