//! What goes over the connections to each node, and how opening them goes: counters for metrics, which
//! run whether or not anything is recorded.
//!
//! A connection is used by one operation at a time, so it counts without locked instructions; what it
//! has counted goes to its node's totals when it is dropped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aerospike_stages::clock::now_ns;
use aerospike_stages::histogram::Counts;
use aerospike_stages::{attempts, NodeId};

/// What the connections to a node have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeTotals {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were dropped.
    pub closed: u64,
    /// Bytes that went to the node, those of the driver's own questions included.
    pub sent: u64,
    /// Bytes that came back.
    pub received: u64,
    /// Pooled connections that were taken out for a command, which was then sent.
    pub attempts: u64,
    /// Those of them that were not the first of their operation or task.
    pub retries: u64,
    /// Reads and writes that failed, or found that the node had closed the connection.
    pub failures: u64,
}

/// How opening connections has gone so far.
#[derive(Debug, Clone, Default)]
pub struct Openings {
    /// How long opening took where it succeeded, in nanoseconds.
    pub durations: Counts,
    /// How often it failed, or was given up.
    pub failures: u64,
}

#[derive(Debug, Default)]
struct Cells {
    sent: AtomicU64,
    received: AtomicU64,
    attempts: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

/// All connections, and what is left of those that are gone.
#[derive(Debug)]
pub struct Book {
    next: u64,
    open: BTreeMap<u64, (NodeId, Arc<Cells>)>,
    totals: BTreeMap<NodeId, NodeTotals>,
    openings: Option<Openings>,
}

static BOOK: Mutex<Book> = Mutex::new(Book {
    next: 0,
    open: BTreeMap::new(),
    totals: BTreeMap::new(),
    openings: None,
});

/// The book, for whoever must not find it locked after a fork.
pub fn lock_book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bump(cell: &AtomicU64, by: u64) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

impl NodeTotals {
    fn add(&mut self, cells: &Cells) {
        let of = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        self.sent += of(&cells.sent);
        self.received += of(&cells.received);
        self.attempts += of(&cells.attempts);
        self.retries += of(&cells.retries);
        self.failures += of(&cells.failures);
    }
}

/// What the connections have done so far, by node.
#[must_use]
pub fn by_node() -> Vec<(NodeId, NodeTotals)> {
    let book = lock_book();
    let mut totals = book.totals.clone();
    for (node, cells) in book.open.values() {
        totals.entry(*node).or_default().add(cells);
    }
    totals.into_iter().collect()
}

/// How opening connections has gone so far.
#[must_use]
pub fn openings() -> Openings {
    lock_book().openings.clone().unwrap_or_default()
}

/// The counters of one connection.
#[derive(Debug)]
pub(super) struct Tally {
    number: u64,
    node: NodeId,
    /// It was taken out of the pool, and nothing has been written since.
    checked_out: AtomicBool,
    cells: Arc<Cells>,
}

impl Tally {
    /// A new connection's.
    pub(super) fn of(node: NodeId) -> Tally {
        let cells = Arc::new(Cells::default());
        let mut book = lock_book();
        book.next += 1;
        let number = book.next;
        book.open.insert(number, (node, cells.clone()));
        book.totals.entry(node).or_default().opened += 1;
        Tally {
            number,
            node,
            checked_out: AtomicBool::new(false),
            cells,
        }
    }

    #[inline]
    pub(super) fn checked_out(&self) {
        self.checked_out.store(true, Ordering::Relaxed);
    }

    /// The first write after the check-out begins an attempt: a connection found dead is none.
    #[inline]
    pub(super) fn begin_write(&self) {
        if self.checked_out.load(Ordering::Relaxed) {
            self.checked_out.store(false, Ordering::Relaxed);
            bump(&self.cells.attempts, 1);
            if attempts::begin(self.node) {
                bump(&self.cells.retries, 1);
            }
        }
    }

    #[inline]
    pub(super) fn sent(&self, bytes: usize) {
        bump(&self.cells.sent, bytes as u64);
    }

    #[inline]
    pub(super) fn received(&self, bytes: usize) {
        bump(&self.cells.received, bytes as u64);
    }

    #[cold]
    pub(super) fn failed(&self) {
        bump(&self.cells.failures, 1);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut book = lock_book();
        if book.open.remove(&self.number).is_some() {
            let totals = book.totals.entry(self.node).or_default();
            totals.add(&self.cells);
            totals.closed += 1;
        }
    }
}

/// A connection that is being opened.
pub(super) struct Connecting {
    began: u64,
    succeeded: bool,
}

impl Connecting {
    pub(super) fn begin() -> Connecting {
        Connecting {
            began: now_ns(),
            succeeded: false,
        }
    }

    pub(super) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let nanos = now_ns().saturating_sub(self.began);
        let mut book = lock_book();
        let openings = book.openings.get_or_insert_default();
        if self.succeeded {
            openings.durations.record(nanos);
        } else {
            openings.failures += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn connections_count_and_leave_what_they_counted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"answer!").await.unwrap();
        });
        let before = openings();
        let mut stream = crate::net::TcpStream::connect(address.clone())
            .await
            .unwrap();
        let node = NodeId::intern(&address);
        stream.write_all(b"asked").await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        server.await.unwrap();
        let of = |node| {
            by_node()
                .into_iter()
                .find(|(found, _)| *found == node)
                .unwrap()
                .1
        };
        let open = of(node);
        let expected = NodeTotals {
            opened: 1,
            sent: 5,
            received: 7,
            failures: 1,
            ..NodeTotals::default()
        };
        assert_eq!(open, expected);
        drop(stream);
        assert_eq!(
            of(node),
            NodeTotals {
                closed: 1,
                ..expected
            }
        );
        assert!(crate::net::TcpStream::connect("127.0.0.1:1".to_owned())
            .await
            .is_err());
        let after = openings();
        assert!(after.durations.count() > before.durations.count());
        assert!(after.failures > before.failures);
    }
}
