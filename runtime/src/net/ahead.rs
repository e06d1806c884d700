//! What a stream has read ahead: a small reply comes with one system call, although the driver asks
//! for its header and its body one after the other.

use std::io;
use std::task::Poll;

use tokio::io::ReadBuf;

/// How much is read ahead. Reads of at least this size go straight to where the driver wants them.
pub(super) const SIZE: usize = 8 * 1024;

/// Bytes that have been read and not been asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Empty until it is first needed.
    space: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Hands out what there is; `false` if there is nothing.
    #[inline]
    pub(super) fn serve(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let bytes = buffer.remaining().min(self.end - self.start);
        buffer.put_slice(&self.space[self.start..self.start + bytes]);
        self.start += bytes;
        true
    }

    /// What there is.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.space[self.start..self.end]
    }

    /// Forgets all but the first bytes of what there is.
    pub(super) fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start + length);
    }

    /// Lets `read` fill the space, which must be empty.
    #[inline]
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if self.space.is_empty() {
            self.space = vec![0; SIZE].into_boxed_slice();
        }
        let mut space = ReadBuf::new(&mut self.space);
        let polled = read(&mut space);
        (self.start, self.end) = (0, space.filled().len());
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ahead: &mut Ahead, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut buffer = ReadBuf::new(&mut bytes);
        ahead.serve(&mut buffer);
        let filled = buffer.filled().len();
        bytes.truncate(filled);
        bytes
    }

    #[test]
    fn what_was_read_ahead_is_handed_out_in_order_and_once() {
        let mut ahead = Ahead::default();
        assert!(ahead.is_empty());
        let polled = ahead.fill(|space| {
            space.put_slice(b"header and body");
            Poll::Ready(Ok(()))
        });
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        assert_eq!(read(&mut ahead, 6), b"header");
        assert!(!ahead.is_empty());
        assert_eq!(read(&mut ahead, 100), b" and body");
        assert!(ahead.is_empty());
        assert_eq!(read(&mut ahead, 100), b"");
    }

    #[test]
    fn a_read_that_has_to_wait_or_fails_leaves_nothing() {
        let mut ahead = Ahead::default();
        assert!(ahead.fill(|_| Poll::Pending).is_pending());
        assert!(ahead.is_empty());
        let failed = ahead.fill(|_| Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())));
        assert!(matches!(failed, Poll::Ready(Err(_))));
        assert!(ahead.is_empty());
    }
}
