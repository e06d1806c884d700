//! Holding this crate's locks across a fork: a lock that another thread holds at that moment would
//! stay locked in the child for ever.

use std::sync::{MutexGuard, RwLockWriteGuard};

use crate::clock::lock_choice;
use crate::collector::{lock_registry, Registry};
use crate::node::lock_names;

/// All locks of this crate; dropping it unlocks them.
pub struct Held {
    _choice: MutexGuard<'static, ()>,
    _registry: MutexGuard<'static, Registry>,
    _names: RwLockWriteGuard<'static, Vec<String>>,
}

/// Takes all locks of this crate.
#[must_use]
pub fn hold() -> Held {
    Held {
        _choice: lock_choice(),
        _registry: lock_registry(),
        _names: lock_names(),
    }
}
