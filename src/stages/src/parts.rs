//! How long the parts of batches took, by node: from spawning the task for a node to its end, connections and retries
//! included. Counted whether or not stages are recorded, by whichever thread joins the task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::histogram::{bucket_of, Counts, BUCKETS};
use crate::node::NodeId;

/// A histogram that any thread adds to.
struct Shared {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

static NODES: [OnceLock<Shared>; NodeId::COUNT] = [const { OnceLock::new() }; NodeId::COUNT];

/// Adds a part for a node; one whose node is not known is left out.
#[inline]
pub(crate) fn add(node: NodeId, nanos: u64) {
    if node == NodeId::NONE {
        return;
    }
    let shared = NODES[node.index()].get_or_init(Shared::default);
    shared.buckets[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
    shared.sum.fetch_add(nanos, Ordering::Relaxed);
    shared.max.fetch_max(nanos, Ordering::Relaxed);
}

/// The durations of parts by node, of nodes that had any.
#[must_use]
pub fn by_node() -> Vec<(NodeId, Counts)> {
    let known = NODES.iter().enumerate();
    let known = known.filter_map(|(index, shared)| Some((index, shared.get()?)));
    known
        .map(|(index, shared)| {
            let mut counts = Counts::default();
            for (bucket, count) in shared.buckets.iter().enumerate() {
                counts.add(bucket, count.load(Ordering::Relaxed));
            }
            counts.sum = shared.sum.load(Ordering::Relaxed);
            counts.max = shared.max.load(Ordering::Relaxed);
            (NodeId::from_index(index), counts)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_by_node() {
        // Not by name: another test uses all names up.
        let (one, two) = (NodeId::from_index(250), NodeId::from_index(251));
        let adding = std::thread::spawn(move || add(one, 1_000));
        adding.join().unwrap();
        add(one, 3_000);
        add(two, 5);
        add(NodeId::NONE, 7);
        let all = by_node();
        let of = |wanted| &all.iter().find(|(node, _)| *node == wanted).unwrap().1;
        assert_eq!(
            (of(one).count(), of(one).sum, of(one).max),
            (2, 4_000, 3_000)
        );
        assert_eq!((of(two).count(), of(two).sum), (1, 5));
        assert!(all.iter().all(|(node, _)| *node != NodeId::NONE));
    }
}
