//! Holding this crate's locks across a fork: a lock that another thread holds at that moment would
//! stay locked in the child for ever.

use std::sync::{Arc, MutexGuard, RwLockWriteGuard};

use crate::collector::{lock_registry, Registry};
use crate::node::lock_names;
use crate::sink::{lock_sinks, Sink};

/// All locks of this crate; dropping it unlocks them.
pub struct Held {
    _registry: MutexGuard<'static, Registry>,
    _names: RwLockWriteGuard<'static, Vec<String>>,
    _sinks: RwLockWriteGuard<'static, Vec<Arc<dyn Sink>>>,
}

/// Takes all locks of this crate.
#[must_use]
pub fn hold() -> Held {
    Held {
        _registry: lock_registry(),
        _names: lock_names(),
        _sinks: lock_sinks(),
    }
}
