//! What a request is about, in the few words that metrics and traces have for it.

use aerospike_core::Key;
use aerospike_stages::{Subject, Target};

use crate::ops::request::Request;

/// Which namespace and set a request is about, and how many keys it has.
#[must_use]
pub fn subject_of(request: &Request) -> Subject {
    match request {
        Request::Get(request) | Request::Select(request) | Request::Exists(request) => {
            one(&request.key)
        }
        Request::Put(request)
        | Request::RemoveBin(request)
        | Request::Append(request)
        | Request::Prepend(request)
        | Request::Increment(request) => one(&request.key),
        Request::Remove(request) | Request::Touch(request) => one(&request.key),
        Request::Operate(request) | Request::OperateOrdered(request) => one(&request.key),
        Request::BatchRead(request) => many(request.keys.iter()),
        Request::BatchOperate(request) => many(request.keys.iter()),
        Request::BatchWrite(request) => many(request.rows.iter().map(|row| &row.key)),
        Request::BatchRemove(request) => many(request.rows.iter().map(|(key, _)| key)),
        Request::Truncate(request) => Subject {
            target: Target::of(&request.namespace, &request.set),
            sets: u16::from(!request.set.is_empty()),
            keys: 0,
        },
        Request::InfoAll(_) | Request::InfoRandomNode(_) | Request::Ping => Subject::default(),
    }
}

#[inline]
fn one(key: &Key) -> Subject {
    Subject {
        target: Target::of(key.namespace(), key.set_name()),
        sets: 1,
        keys: 1,
    }
}

fn many<'a>(keys: impl ExactSizeIterator<Item = &'a Key> + Clone) -> Subject {
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let mut rest = keys;
    let Some(first) = rest.next() else {
        return Subject::default();
    };
    let differs =
        |key: &&Key| key.set_name() != first.set_name() || key.namespace() != first.namespace();
    let Some(other) = rest.find(differs) else {
        return Subject {
            keys: count,
            ..one(first)
        };
    };
    let mut sets = vec![
        (first.namespace(), first.set_name()),
        (other.namespace(), other.set_name()),
    ];
    let mut last = 1;
    for key in rest {
        let set = (key.namespace(), key.set_name());
        // Keys of a set tend to stand together.
        if sets[last] == set {
            continue;
        }
        match sets.iter().position(|known| *known == set) {
            Some(known) => last = known,
            None if sets.len() < MOST_SETS => {
                last = sets.len();
                sets.push(set);
            }
            None => {}
        }
    }
    let same_namespace = sets
        .iter()
        .all(|(namespace, _)| *namespace == first.namespace());
    Subject {
        target: Target::of_several(if same_namespace {
            first.namespace()
        } else {
            ""
        }),
        sets: u16::try_from(sets.len()).unwrap_or(u16::MAX),
        keys: count,
    }
}

/// More sets than this in one batch are not counted: the search would cost more than the batch.
const MOST_SETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use aerospike_core::Value;
    use aerospike_stages::target::Set;

    fn key(namespace: &str, set: &str, number: i64) -> Key {
        Key::new(namespace, set, Value::Int(number)).unwrap()
    }

    #[test]
    fn a_batch_is_about_its_set_or_about_several() {
        let same: Vec<Key> = (0..5).map(|number| key("ns", "a", number)).collect();
        let subject = many(same.iter());
        assert_eq!((subject.keys, subject.sets), (5, 1));
        assert_eq!(subject.target, Target::of("ns", "a"));

        let mixed: Vec<Key> = (0..9)
            .map(|number| key("ns", ["a", "b", "c"][number as usize % 3], number))
            .collect();
        let subject = many(mixed.iter());
        assert_eq!((subject.keys, subject.sets), (9, 3));
        let place = subject.target.place().unwrap();
        assert_eq!((place.namespace.as_str(), place.set), ("ns", Set::Several));

        let apart = [key("one", "a", 1), key("two", "a", 2)];
        let subject = many(apart.iter());
        assert_eq!((subject.keys, subject.sets), (2, 2));
        assert_eq!(subject.target.place().unwrap().namespace, "");
        assert_eq!(many([].iter()), Subject::default());
    }

    #[test]
    fn the_search_for_sets_is_bounded() {
        let keys: Vec<Key> = (0..200)
            .map(|number| key("ns", &format!("s{number}"), number))
            .collect();
        assert_eq!(usize::from(many(keys.iter()).sets), MOST_SETS);
    }
}
