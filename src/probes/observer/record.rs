//! What an observed event loop has run: a bounded table of slow callbacks by name, and the latest of them
//! one by one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// So many names are told apart; the rest counts as [`OTHERS`].
const MOST_NAMES: usize = 256;
/// So many of the latest are kept.
const MOST_RECENT: usize = 256;
/// What is counted together once there are too many names.
const OTHERS: &str = "(others)";

/// A callback or task step that was slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// `module:qualname (file:line)`.
    pub name: Arc<str>,
    /// The innermost frame of a sample taken while it ran.
    pub at: Option<Arc<str>>,
    pub start: u64,
    pub nanos: u64,
    /// Its duration is known to the sampling interval only.
    pub sampled: bool,
}

/// All runs of what has one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub count: u64,
    pub total: u64,
    pub longest: u64,
    pub at: Option<Arc<str>>,
    /// Operations of the client whose results waited while it ran, and how long.
    pub held_up: u64,
    pub held_up_nanos: u64,
}

/// The record of one loop.
#[derive(Debug, Default)]
pub struct Record {
    entries: HashMap<Arc<str>, Entry>,
    recent: VecDeque<Slow>,
}

impl Record {
    /// Adds one.
    pub fn add(&mut self, slow: Slow) {
        let entry = self.entry(&slow.name);
        entry.count += 1;
        entry.total += slow.nanos;
        entry.longest = entry.longest.max(slow.nanos);
        if slow.at.is_some() {
            entry.at.clone_from(&slow.at);
        }
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(slow);
    }

    fn entry(&mut self, name: &Arc<str>) -> &mut Entry {
        let has_room = self.entries.len() < MOST_NAMES || self.entries.contains_key(name);
        let name = if has_room {
            name.clone()
        } else {
            OTHERS.into()
        };
        self.entries.entry(name).or_default()
    }

    /// An operation waited for the loop from `start` to `end`: whoever ran then held it up.
    pub fn blame(&mut self, start: u64, end: u64) {
        let mut blamed: Vec<(Arc<str>, u64)> = Vec::new();
        for slow in self.recent.iter().rev() {
            let ended = slow.start + slow.nanos;
            if ended <= start {
                break;
            }
            let overlap = ended.min(end).saturating_sub(slow.start.max(start));
            if overlap == 0 {
                continue;
            }
            match blamed.iter_mut().find(|(name, _)| *name == slow.name) {
                Some((_, nanos)) => *nanos += overlap,
                None => blamed.push((slow.name.clone(), overlap)),
            }
        }
        for (name, nanos) in blamed {
            let entry = self.entry(&name);
            entry.held_up += 1;
            entry.held_up_nanos += nanos;
        }
    }

    /// Everything by name, what took longest in total first.
    pub fn by_name(&self) -> Vec<(Arc<str>, Entry)> {
        let all = self.entries.iter();
        let mut all: Vec<_> = all
            .map(|(name, entry)| (name.clone(), entry.clone()))
            .collect();
        all.sort_by(|(a, left), (b, right)| right.total.cmp(&left.total).then(a.cmp(b)));
        all
    }

    /// The latest, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &Slow> {
        self.recent.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(name: &str, start: u64, nanos: u64) -> Slow {
        Slow {
            name: name.into(),
            at: None,
            start,
            nanos,
            sampled: false,
        }
    }

    #[test]
    fn whoever_ran_meanwhile_is_blamed_for_that_time_only() {
        let mut record = Record::default();
        record.add(slow("before", 0, 100));
        record.add(slow("early", 100, 50));
        record.add(slow("late", 200, 100));
        record.add(slow("late", 300, 10));
        record.blame(120, 305);
        let found = record.by_name();
        let blamed = |name: &str| {
            let (_, entry) = found.iter().find(|(known, _)| &**known == name).unwrap();
            (entry.held_up, entry.held_up_nanos)
        };
        assert_eq!(
            (blamed("before"), blamed("early"), blamed("late")),
            ((0, 0), (1, 30), (1, 105))
        );
        assert_eq!(&*found[0].0, "late");
    }

    proptest! {
        #[test]
        fn the_record_is_bounded_and_complete(names in prop::collection::vec(0u32..1000, 0..1500)) {
            let mut record = Record::default();
            for (at, name) in names.iter().enumerate() {
                record.add(slow(&name.to_string(), at as u64 * 10, 7));
            }
            let all = record.by_name();
            prop_assert!(all.len() <= MOST_NAMES + 1);
            prop_assert_eq!(record.recent().count(), names.len().min(MOST_RECENT));
            prop_assert_eq!(all.iter().map(|(_, entry)| entry.count).sum::<u64>(), names.len() as u64);
            prop_assert_eq!(all.iter().map(|(_, entry)| entry.total).sum::<u64>(), names.len() as u64 * 7);
        }

        #[test]
        fn nobody_is_blamed_for_more_than_the_wait(runs in prop::collection::vec((0u64..5, 1u64..50), 1..60), start in 0u64..1500, length in 0u64..500) {
            let mut record = Record::default();
            let mut now = 0;
            for (gap, nanos) in runs {
                now += gap;
                record.add(slow("x", now, nanos));
                now += nanos;
            }
            record.blame(start, start + length);
            let (_, entry) = &record.by_name()[0];
            prop_assert!(entry.held_up_nanos <= length);
            prop_assert_eq!(entry.held_up, u64::from(entry.held_up_nanos > 0));
        }
    }
}
