//! Small numbers for nodes, so that recording one costs a byte and no string.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::table::Stage;

/// A node of some cluster, by its address. At most [`NodeId::CAPACITY`] are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NodeId(u8);

static NAMES: RwLock<Vec<String>> = RwLock::new(Vec::new());

fn read_names() -> RwLockReadGuard<'static, Vec<String>> {
    NAMES.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn lock_names() -> RwLockWriteGuard<'static, Vec<String>> {
    NAMES.write().unwrap_or_else(PoisonError::into_inner)
}

impl NodeId {
    /// No node, or not known.
    pub const NONE: NodeId = NodeId(0);
    /// Every node beyond the capacity.
    pub const OVERFLOW: NodeId = NodeId(u8::MAX);
    /// How many addresses are told apart in one process.
    pub const CAPACITY: usize = u8::MAX as usize - 1;
    /// How many different values there are, `NONE` and `OVERFLOW` included.
    pub const COUNT: usize = Self::CAPACITY + 2;

    /// The number of an address; the same address always has the same number.
    #[must_use]
    pub fn intern(address: &str) -> NodeId {
        let position = |names: &[String]| names.iter().position(|name| name == address);
        if let Some(found) = position(&read_names()) {
            return NodeId(found as u8 + 1);
        }
        let mut names = lock_names();
        if let Some(found) = position(&names) {
            return NodeId(found as u8 + 1);
        }
        if names.len() >= Self::CAPACITY {
            return NodeId::OVERFLOW;
        }
        names.push(address.to_owned());
        NodeId(names.len() as u8)
    }

    /// The address, `""` for none and `"other"` beyond the capacity.
    #[must_use]
    pub fn name(self) -> String {
        if self == NodeId::NONE {
            return String::new();
        }
        let name = read_names().get(usize::from(self.0) - 1).cloned();
        name.unwrap_or_else(|| "other".to_owned())
    }

    /// Position in tables of [`NodeId::COUNT`] entries.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// This node, if `stage` is one whose time is spent on a node.
    #[inline]
    #[must_use]
    pub fn during(self, stage: Stage) -> NodeId {
        if stage.is_per_node() {
            self
        } else {
            NodeId::NONE
        }
    }

    /// The node at a position, for readers of such tables.
    #[inline]
    #[must_use]
    pub fn from_index(index: usize) -> NodeId {
        NodeId(index.min(Self::COUNT - 1) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_number_and_overflow_is_visible() {
        let first = NodeId::intern("node-test-a:1");
        assert_eq!(NodeId::intern("node-test-a:1"), first);
        assert_eq!(first.name(), "node-test-a:1");
        for number in 0..NodeId::COUNT {
            let _ = NodeId::intern(&format!("node-test-many:{number}"));
        }
        assert_eq!(NodeId::intern("node-test-one-too-many"), NodeId::OVERFLOW);
        assert_eq!(NodeId::OVERFLOW.name(), "other");
        assert_eq!(NodeId::NONE.name(), "");
    }
}
