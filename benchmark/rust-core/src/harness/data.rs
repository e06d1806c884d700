//! The records and the random numbers of `benchmark/harness/data.py`.

use aerospike_core::{Bin, Key, Value};
use serde_json::Value as Json;

use crate::Fallible;

const NAMESPACE: &str = "test";
const FEATURES: &str = "features";

/// SplitMix64.
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Which records exist.
pub struct Space {
    pub sets: u64,
    pub records: u64,
    shape: String,
}

impl Space {
    pub fn parse(fields: &Json) -> Fallible<Self> {
        Ok(Self {
            sets: fields["sets"].as_u64().ok_or("how many sets?")?,
            records: fields["records"].as_u64().ok_or("how many records?")?,
            shape: fields["shape"].as_str().ok_or("which shape?")?.to_owned(),
        })
    }

    pub fn key(&self, set: u64, number: u64) -> Fallible<Key> {
        let name = format!("bench_{}_{}_{set}", self.shape, self.records);
        let user_key = Value::from(format!("key-{set}-{number:07}"));
        Ok(Key::new(NAMESPACE, name, user_key)?)
    }

    /// The bins of a record of the first set.
    pub fn bins(&self, number: u64) -> Fallible<Vec<Bin>> {
        if self.shape == FEATURES {
            return Ok(features(number));
        }
        let (count, kind) = self.shape.split_once('x').ok_or("no such shape")?;
        let digits = kind.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let kind = &kind[..kind.len() - digits.len()];
        let size = if digits.is_empty() {
            8
        } else {
            digits.parse()?
        };
        (0..count.parse::<u64>()?)
            .map(|bin| {
                let value = value(kind, size, mix(number * 1_000 + bin))?;
                Ok(Bin::new(format!("b{bin}"), value))
            })
            .collect()
    }
}

fn features(number: u64) -> Vec<Bin> {
    let signed = number as i64;
    vec![
        Bin::new("user_id", Value::from(10_000_000_000 + signed)),
        Bin::new("age", Value::from(signed % 90)),
        Bin::new("balance", Value::from(-signed * 37)),
        Bin::new("score", Value::from(number as f64 * 0.37 + 0.0)),
        Bin::new("ctr", Value::from(1.0 / (number as f64 + 3.0))),
        Bin::new("country", Value::from(format!("country-{}", number % 40))),
        Bin::new("segment", Value::from(format!("segment-0-{}", number % 17))),
        Bin::new("name", Value::from(format!("Zoë № {number}"))),
        Bin::new(
            "embedding",
            Value::Blob(
                (0..64)
                    .map(|place| ((number + place) % 256) as u8)
                    .collect(),
            ),
        ),
        Bin::new("active", Value::from(number.is_multiple_of(2))),
    ]
}

fn value(kind: &str, size: usize, random: u64) -> Fallible<Value> {
    let text = || -> String {
        format!("{random:016x}")
            .chars()
            .cycle()
            .take(size)
            .collect()
    };
    Ok(match kind {
        "int" => Value::from((random >> 1) as i64),
        "float" => Value::from(random as f64 / 2f64.powi(64)),
        "str" => Value::from(text()),
        "bytes" => Value::Blob(text().into_bytes()),
        _ => return Err(format!("no bins are of kind {kind:?}").into()),
    })
}
