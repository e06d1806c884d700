//! Digests against the `ripemd` crate, which computes them another way.

use proptest::prelude::*;
use ripemd::{Digest as _, Ripemd160};

use super::*;

fn reference(message: Message<'_>) -> Digest {
    let mut hash = Ripemd160::new();
    hash.update(message.set);
    hash.update([message.particle]);
    hash.update(message.user_key);
    hash.finalize().into()
}

fn check(messages: &[Message<'_>]) {
    for group in messages.chunks(MOST_LANES) {
        let many = digest_many(group);
        for (message, side_by_side) in group.iter().zip(many) {
            let expected = reference(*message);
            assert_eq!(digest(*message), expected, "{message:?}");
            assert_eq!(side_by_side, expected, "{message:?} beside others");
        }
    }
}

#[test]
fn every_length_agrees() {
    let bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
    for set in [0, 1, 4, 63] {
        let messages: Vec<_> = (0..bytes.len())
            .map(|len| Message {
                set: &bytes[..set],
                particle: 3,
                user_key: &bytes[bytes.len() - len..],
            })
            .collect();
        check(&messages);
    }
}

#[test]
fn every_kind_of_lanes_agrees() {
    let user_keys: Vec<_> = (0..MOST_LANES as u64)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .collect();
    let messages: Vec<_> = user_keys
        .iter()
        .map(|user_key| Message {
            set: b"demo",
            particle: 1,
            user_key,
        })
        .collect();
    let mut blocks = [[0; BLOCK_BYTES]; MOST_LANES];
    for (block, message) in blocks.iter_mut().zip(&messages) {
        *block = message.block().unwrap();
    }
    let mut kinds = vec![Lanes::of_this_machine()];
    #[cfg(target_arch = "x86_64")]
    kinds.push(Lanes::Four);
    for lanes in kinds {
        let states = side_by_side(lanes, &blocks);
        for (message, state) in messages.iter().zip(states).take(lanes.width()) {
            assert_eq!(digest_of(state), reference(*message), "{lanes:?}");
        }
    }
}

proptest! {
    #[test]
    fn groups_of_any_lengths_agree(
        messages in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..64), any::<u8>(), prop::collection::vec(any::<u8>(), 0..150)),
            0..=MOST_LANES,
        )
    ) {
        let messages: Vec<_> = messages
            .iter()
            .map(|(set, particle, user_key)| Message { set, particle: *particle, user_key })
            .collect();
        check(&messages);
    }
}

/// Prints nanoseconds per digest, the least of many runs; nothing is asserted. To see them:
/// `cargo test --release -p aerospike-py --lib digest::tests::speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn speed() {
    const RUNS: usize = 3000;
    const DIGESTS: usize = 200;
    let user_keys: Vec<_> = (0..DIGESTS).map(|n| format!("user-{n:08}")).collect();
    let messages: Vec<_> = user_keys
        .iter()
        .map(|user_key| Message {
            set: b"features",
            particle: 3,
            user_key: user_key.as_bytes(),
        })
        .collect();
    let best = |work: &dyn Fn()| {
        let run = |_| {
            let started = std::time::Instant::now();
            work();
            started.elapsed().as_nanos()
        };
        (0..RUNS).map(run).min().unwrap_or(0) as f64 / DIGESTS as f64
    };
    let crate_of_others = best(&|| {
        for message in &messages {
            std::hint::black_box(reference(*message));
        }
    });
    let one = best(&|| {
        for message in &messages {
            std::hint::black_box(digest(*message));
        }
    });
    let many = best(&|| {
        for group in messages.chunks(MOST_LANES) {
            std::hint::black_box(digest_many(group));
        }
    });
    println!("nanoseconds per digest: crate {crate_of_others:.1}, one {one:.1}, many {many:.1}");
}
