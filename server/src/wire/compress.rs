//! Compressed frames: a size in the clear, then a whole zlib-compressed frame.

use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::Compression;

use super::frame::{self, FrameType, HEADER_SIZE, MAX_FRAME_SIZE};
use super::WireError;

/// Replies below this size are not worth compressing.
const MIN_REPLY_SIZE: usize = 128;

/// Replaces the content of `inflated` by the body of the command frame inside a compressed frame's body.
pub(crate) fn inflate(body: &[u8], inflated: &mut Vec<u8>) -> Result<(), WireError> {
    let (size, packed) = body
        .split_first_chunk::<8>()
        .ok_or(WireError::Truncated("uncompressed size"))?;
    let size = u64::from_be_bytes(*size);
    let limit = (MAX_FRAME_SIZE + HEADER_SIZE) as u64;
    if size < HEADER_SIZE as u64 || size > limit {
        return Err(WireError::FrameTooLarge(size));
    }
    let mut header = [0u8; HEADER_SIZE];
    let mut decoder = ZlibDecoder::new(packed);
    decoder
        .read_exact(&mut header)
        .map_err(|_| WireError::Invalid("compressed data"))?;
    let inner = frame::parse_header(&header)?;
    if inner.kind != FrameType::Message || (inner.size + HEADER_SIZE) as u64 != size {
        return Err(WireError::Invalid("compressed frame"));
    }
    inflated.clear();
    // The vector grows with what the decoder really yields, never by what the sender claims.
    let got = decoder
        .take(inner.size as u64)
        .read_to_end(inflated)
        .map_err(|_| WireError::Invalid("compressed data"))?;
    if got == inner.size {
        Ok(())
    } else {
        Err(WireError::Truncated("compressed data"))
    }
}

/// Compresses the whole frame in `out`, unless that would not make it smaller.
pub(crate) fn deflate(out: &mut Vec<u8>) {
    if out.len() < MIN_REPLY_SIZE {
        return;
    }
    let mut packed = Vec::with_capacity(out.len() / 2);
    let start = frame::begin(&mut packed);
    packed.extend_from_slice(&(out.len() as u64).to_be_bytes());
    let mut encoder = ZlibEncoder::new(packed, Compression::fast());
    let written = encoder.write_all(out).and_then(|()| encoder.finish());
    if let Ok(mut packed) = written {
        if packed.len() < out.len() {
            frame::end(&mut packed, start, FrameType::Compressed);
            *out = packed;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_deflated_frame_inflates_to_the_same_body() {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        out.extend_from_slice(&[7; 5000]);
        frame::end(&mut out, start, FrameType::Message);
        deflate(&mut out);
        assert!(out.len() < 200);
        let header = frame::parse_header(out[..8].try_into().unwrap()).unwrap();
        assert_eq!(header.kind, FrameType::Compressed);
        let mut inflated = Vec::new();
        inflate(&out[8..], &mut inflated).unwrap();
        assert_eq!(inflated, vec![7; 5000]);
    }

    #[test]
    fn lies_about_the_size_are_refused() {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        out.extend_from_slice(&[7; 5000]);
        frame::end(&mut out, start, FrameType::Message);
        deflate(&mut out);
        let mut body = out[8..].to_vec();
        body[7] ^= 1;
        assert!(inflate(&body, &mut Vec::new()).is_err());
        assert!(inflate(&out[8..30], &mut Vec::new()).is_err());
        assert!(inflate(&[0; 7], &mut Vec::new()).is_err());
    }
}
