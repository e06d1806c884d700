//! Tests of the series: what goes in comes out, and there is an end to how many there are.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn key(target: u16, node: usize, outcome: u64, staged: bool) -> Key {
    let end = PackedEnd::from_bits(outcome);
    Key::new(
        Target::from_index(target),
        NodeId::from_index(node),
        end,
        staged,
        true,
    )
}

fn counts(series: &Series) -> HashMap<u64, u64> {
    let mut all = HashMap::new();
    series.visit(|key, durations| {
        let mut counts = Counts::default();
        durations.add_to(&mut counts);
        assert!(
            all.insert(key.bits(), counts.count()).is_none(),
            "a key appears once"
        );
    });
    all
}

#[test]
fn entries_lie_in_blocks_of_doubling_size() {
    let mut expected = (0, 0);
    for number in 0..FIRST * ((1 << BLOCKS) - 1) {
        assert_eq!(place(number), expected);
        expected.1 += 1;
        if expected.1 == FIRST << expected.0 {
            expected = (expected.0 + 1, 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_duration_is_in_its_series(
        all in prop::collection::vec((0u16..40, 0usize..4, 0u64..7, any::<bool>()), 0..400),
    ) {
        let series = Series::default();
        let mut expected: HashMap<u64, u64> = HashMap::new();
        for (target, node, outcome, staged) in all {
            let key = key(target, node, outcome, staged);
            series.of(Operation::Exists, Lane::Sync, key).unwrap().record(1_000);
            *expected.entry(key.bits()).or_default() += 1;
        }
        let found = counts(&series);
        // Other tests of this process may have used up the capacity.
        prop_assert_eq!(found.values().sum::<u64>(), expected.values().sum::<u64>());
        for (bits, count) in found {
            if !Key::from_bits(bits).is_overflow() {
                prop_assert!(expected[&bits] >= count);
            }
        }
    }
}

#[test]
fn what_has_no_room_is_counted_as_overflow() {
    let (first, second) = (Series::default(), Series::default());
    let much = 3 * CAPACITY as u16;
    for target in 0..much {
        first
            .of(Operation::Ping, Lane::Sync, key(target, 0, 0, false))
            .unwrap()
            .record(5);
        first
            .of(Operation::Ping, Lane::Sync, key(target, 0, 2, true))
            .unwrap()
            .record(5);
    }
    second
        .of(Operation::Ping, Lane::Sync, key(much - 1, 3, 2, false))
        .unwrap()
        .record(5);
    let found = counts(&first);
    let overflow: Vec<(Key, u64)> = found
        .iter()
        .map(|(bits, count)| (Key::from_bits(*bits), *count))
        .filter(|(key, _)| key.is_overflow())
        .collect();
    assert_eq!(found.values().sum::<u64>(), 2 * u64::from(much));
    assert!(found.len() <= CAPACITY + 2);
    assert_eq!(overflow.len(), 2, "one per outcome: {overflow:?}");
    let rest: u64 = overflow.iter().map(|(_, count)| count).sum();
    assert!(rest >= 2 * u64::from(much) - CAPACITY as u64);
    let mut map = SeriesMap::default();
    second.visit(|key, durations| durations.add_to(map.of(key)));
    let all: Vec<_> = map.iter().collect();
    assert_eq!(all.len(), 1);
    assert!(all[0].overflow && all[0].target == Target::NONE && all[0].node == NodeId::NONE);
    assert_eq!(all[0].end, End::of(Outcome::ServerError));
    assert_eq!(all[0].durations.count(), 1);
}
