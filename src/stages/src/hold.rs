//! Holding this crate's locks across a fork: a lock that another thread holds at that moment would
//! stay locked in the child for ever.

use std::sync::{MutexGuard, RwLockWriteGuard};

use crate::attempts::lock_waits;
use crate::clock::lock_choice;
use crate::collector::{lock_registry, Registry};
use crate::ends::lock_details;
use crate::histogram::Counts;
use crate::node::lock_names;
use crate::series::{lock_known, Known};
use crate::sink::lock_sinks;
use crate::target::{lock_places, Place};

/// All locks of this crate; dropping it unlocks them.
pub struct Held {
    _choice: MutexGuard<'static, ()>,
    _registry: MutexGuard<'static, Registry>,
    _names: RwLockWriteGuard<'static, Vec<String>>,
    _sinks: MutexGuard<'static, ()>,
    _places: RwLockWriteGuard<'static, Vec<Place>>,
    _details: RwLockWriteGuard<'static, Vec<(Option<&'static str>, Option<i32>)>>,
    _known: RwLockWriteGuard<'static, Option<Known>>,
    _waits: MutexGuard<'static, Option<Counts>>,
}

/// Takes all locks of this crate.
#[must_use]
pub fn hold() -> Held {
    Held {
        _choice: lock_choice(),
        _registry: lock_registry(),
        _names: lock_names(),
        _sinks: lock_sinks(),
        _places: lock_places(),
        _details: lock_details(),
        _known: lock_known(),
        _waits: lock_waits(),
    }
}
