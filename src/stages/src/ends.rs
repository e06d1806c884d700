//! Small numbers for how operations ended, so that recording it costs a byte and no string: the
//! outcome, with the exception's name and the server's code as one number.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use crate::facts::End;
use crate::operation::Outcome;

/// How an operation ended, in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PackedEnd {
    pub(crate) outcome: Outcome,
    /// Position in the table of details plus one; zero without any.
    detail: u8,
}

type Detail = (Option<&'static str>, Option<i32>);

/// How many details are told apart in one process; later ones keep their outcome only.
const CAPACITY: usize = u8::MAX as usize;

static DETAILS: RwLock<Vec<Detail>> = RwLock::new(Vec::new());

thread_local! {
    /// A copy of the table as this thread last saw it.
    static KNOWN: RefCell<Vec<Detail>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn lock_details() -> RwLockWriteGuard<'static, Vec<Detail>> {
    DETAILS.write().unwrap_or_else(PoisonError::into_inner)
}

impl PackedEnd {
    #[inline]
    pub(crate) fn of(end: &End) -> PackedEnd {
        let detail = match (end.error, end.code) {
            (None, None) => 0,
            detail => number(detail),
        };
        PackedEnd {
            outcome: end.outcome,
            detail,
        }
    }

    /// The outcome alone.
    pub(crate) const fn plain(outcome: Outcome) -> PackedEnd {
        PackedEnd { outcome, detail: 0 }
    }

    pub(crate) fn unpack(self) -> End {
        let details = DETAILS.read().unwrap_or_else(PoisonError::into_inner);
        let place = usize::from(self.detail).checked_sub(1);
        let (error, code) = place
            .and_then(|place| details.get(place).copied())
            .unwrap_or_default();
        End {
            outcome: self.outcome,
            error,
            code,
        }
    }

    pub(crate) const fn bits(self) -> u64 {
        self.outcome as u64 | (self.detail as u64) << 8
    }

    pub(crate) fn from_bits(bits: u64) -> PackedEnd {
        let outcome = (bits & 0xff) as usize;
        PackedEnd {
            outcome: Outcome::ALL[outcome.min(Outcome::COUNT - 1)],
            detail: (bits >> 8) as u8,
        }
    }
}

#[cold]
fn number(detail: Detail) -> u8 {
    let position = |details: &[Detail]| details.iter().position(|known| *known == detail);
    let mine = KNOWN.try_with(|known| position(&known.borrow()));
    if let Ok(Some(found)) = mine {
        return found as u8 + 1;
    }
    let mut details = lock_details();
    let found = match position(&details) {
        Some(found) => found,
        None if details.len() < CAPACITY => {
            details.push(detail);
            details.len() - 1
        }
        None => return 0,
    };
    let _ = KNOWN.try_with(|known| known.replace(details.clone()));
    found as u8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_back_as_they_were_and_the_table_is_bounded() {
        let end = End {
            outcome: Outcome::ServerError,
            error: Some("ServerError"),
            code: Some(8),
        };
        let packed = PackedEnd::of(&end);
        assert_eq!(packed.unpack(), end);
        assert_eq!(PackedEnd::from_bits(packed.bits()), packed);
        assert_eq!(PackedEnd::of(&End::OK).unpack(), End::OK);
        let elsewhere = std::thread::spawn(move || PackedEnd::of(&end));
        assert_eq!(elsewhere.join().ok(), Some(packed));
        for code in 0..=CAPACITY as i32 {
            let _ = PackedEnd::of(&End {
                code: Some(10_000 + code),
                ..end
            });
        }
        let late = PackedEnd::of(&End {
            code: Some(99_999),
            ..end
        });
        assert_eq!(late.unpack(), End::of(Outcome::ServerError));
        assert_eq!(PackedEnd::of(&end), packed);
    }
}
