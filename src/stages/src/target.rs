//! Small numbers for what operations are about, so that recording it costs two bytes and no string:
//! a namespace with a set, with no set, or with several.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// What an operation is about. At most [`Target::CAPACITY`] are told apart in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Target(u16);

/// A target in words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The namespace; empty if there is none, or several.
    pub namespace: String,
    /// The set.
    pub set: Set,
}

/// Which set of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Set {
    /// None: records without a set, or an operation that is about no record.
    None,
    /// This one.
    One(String),
    /// Records of several sets.
    Several,
}

static PLACES: RwLock<Vec<Place>> = RwLock::new(Vec::new());

pub(crate) fn lock_places() -> RwLockWriteGuard<'static, Vec<Place>> {
    PLACES.write().unwrap_or_else(PoisonError::into_inner)
}

/// How many targets a thread finds without asking others.
const REMEMBERED: usize = 16;

thread_local! {
    static RECENT: RefCell<Vec<(Place, Target)>> = const { RefCell::new(Vec::new()) };
}

impl Target {
    /// Nothing, or not known.
    pub const NONE: Target = Target(0);
    /// Every target beyond the capacity.
    pub const OVERFLOW: Target = Target(u16::MAX);
    /// How many are told apart in one process.
    pub const CAPACITY: usize = 1024;

    /// The number of a set, or of a namespace's records without one if `set` is empty.
    #[inline]
    #[must_use]
    pub fn of(namespace: &str, set: &str) -> Target {
        Self::find(
            namespace,
            |place| match &place.set {
                Set::None => set.is_empty(),
                Set::One(name) => name == set,
                Set::Several => false,
            },
            || match set {
                "" => Set::None,
                set => Set::One(set.to_owned()),
            },
        )
    }

    /// The number of several sets of a namespace; of several namespaces if it is empty.
    #[must_use]
    pub fn of_several(namespace: &str) -> Target {
        Self::find(
            namespace,
            |place| place.set == Set::Several,
            || Set::Several,
        )
    }

    #[inline]
    fn find(namespace: &str, fits: impl Fn(&Place) -> bool, set: impl FnOnce() -> Set) -> Target {
        let is_it = |place: &Place| fits(place) && place.namespace == namespace;
        let recent = RECENT.try_with(|recent| {
            let recent = recent.borrow();
            recent
                .iter()
                .find(|(place, _)| is_it(place))
                .map(|(_, target)| *target)
        });
        match recent {
            Ok(Some(target)) => target,
            _ => Self::look_up(Place {
                namespace: namespace.to_owned(),
                set: set(),
            }),
        }
    }

    #[cold]
    fn look_up(place: Place) -> Target {
        let target = Self::number(&place);
        let _ = RECENT.try_with(|recent| {
            let mut recent = recent.borrow_mut();
            recent.truncate(REMEMBERED - 1);
            recent.insert(0, (place, target));
        });
        target
    }

    fn number(place: &Place) -> Target {
        let position = |places: &[Place]| places.iter().position(|known| known == place);
        let number = |position: usize| Target(u16::try_from(position + 1).unwrap_or(u16::MAX));
        if let Some(found) = position(&PLACES.read().unwrap_or_else(PoisonError::into_inner)) {
            return number(found);
        }
        let mut places = lock_places();
        if let Some(found) = position(&places) {
            return number(found);
        }
        if places.len() >= Self::CAPACITY {
            return Target::OVERFLOW;
        }
        places.push(place.clone());
        number(places.len() - 1)
    }

    /// What the number stands for; `None` for [`Target::NONE`] and [`Target::OVERFLOW`].
    #[must_use]
    pub fn place(self) -> Option<Place> {
        let places = PLACES.read().unwrap_or_else(PoisonError::into_inner);
        places.get(usize::from(self.0).checked_sub(1)?).cloned()
    }

    /// The number itself, for tables and packed words.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }

    /// The target of a number that [`Target::index`] gave.
    #[must_use]
    pub const fn from_index(index: u16) -> Target {
        Target(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_keep_their_number_and_overflow_is_visible() {
        let first = Target::of("target-test", "users");
        assert_eq!(Target::of("target-test", "users"), first);
        assert_ne!(Target::of("target-test", ""), first);
        assert_ne!(Target::of_several("target-test"), first);
        let elsewhere = std::thread::spawn(|| Target::of("target-test", "users"));
        assert_eq!(elsewhere.join().ok(), Some(first));
        let place = |set| Place {
            namespace: "target-test".to_owned(),
            set,
        };
        assert_eq!(first.place(), Some(place(Set::One("users".to_owned()))));
        assert_eq!(
            Target::of("target-test", "").place(),
            Some(place(Set::None))
        );
        assert_eq!(
            Target::of_several("target-test").place(),
            Some(place(Set::Several))
        );
        for number in 0..=Target::CAPACITY {
            let _ = Target::of("target-test-many", &number.to_string());
        }
        let overflown = Target::of("target-test-one-too-many", "set");
        assert_eq!(overflown, Target::OVERFLOW);
        assert_eq!(overflown.place(), None);
        assert_eq!(Target::NONE.place(), None);
        assert_eq!(Target::of("target-test", "users"), first);
    }
}
