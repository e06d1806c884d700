//! Rows of batches that failed, by node and reason: a batch that succeeds may have them, and which node they are from is
//! known nowhere else. Batches without such rows do not come here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aerospike_core::BatchRecord;
use aerospike_stages::NodeId;

use crate::error::failure_class;

/// How many rows failed, by the node that was asked last, the exception that it would be, and the server's code.
pub type Failures = BTreeMap<(NodeId, &'static str, Option<i32>), u64>;

static FAILURES: Mutex<Failures> = Mutex::new(BTreeMap::new());

/// A record that is not there is no failure.
const NOT_FOUND: Option<i32> = Some(2);

/// What has been counted, for whoever must not find it locked after a fork.
pub fn lock_failures() -> MutexGuard<'static, Failures> {
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the failures among rows. How many kinds there are is bounded: nodes and codes are bytes.
pub fn count(rows: &[BatchRecord]) {
    let failed = rows.iter().filter_map(|row| {
        let error = row.error()?;
        let (exception, code) = failure_class(error);
        let node = || node_of(error.node().unwrap_or_default());
        (code != NOT_FOUND).then(|| (node(), exception, code))
    });
    let mut failed = failed.peekable();
    if failed.peek().is_none() {
        return;
    }
    let mut counted = lock_failures();
    for failure in failed {
        *counted.entry(failure).or_default() += 1;
    }
}

/// The driver names a node by its address, or by its name and that.
fn node_of(named: &str) -> NodeId {
    match named.rsplit(' ').next() {
        Some(address) if !address.is_empty() => NodeId::intern(address),
        _ => NodeId::NONE,
    }
}

/// What has been counted so far.
pub fn counted() -> Failures {
    lock_failures().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_address() {
        let node = NodeId::intern("127.0.0.1:3999");
        assert_eq!(node_of("127.0.0.1:3999"), node);
        assert_eq!(node_of("BB9020000000002: 127.0.0.1:3999"), node);
        assert_eq!(node_of(""), NodeId::NONE);
    }
}
