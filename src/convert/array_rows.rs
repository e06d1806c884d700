//! Rows of a structured array into records to write: the opposite of `array_layout`.
//!
//! Works on a copy of the array's memory and knows neither Python nor NumPy, so that rows can be
//! converted without the interpreter. A number that no bin can hold is an error.

use aerospike_core::{BatchWritePolicy, Bin, Value};

use crate::convert::array_layout::{Element, Field, Misfit};
use crate::convert::half::half_value;
use crate::convert::key::{Gathered, KeyTemplate};
use crate::ops::request::WriteRow;

/// Which field of a row is the user key, and which are bins.
#[derive(Debug)]
pub struct RowReader {
    key: Field,
    bins: Vec<Field>,
    row_bytes: usize,
}

impl RowReader {
    /// Checks that all fields lie within a row of `row_bytes`.
    pub fn new(key: Field, bins: Vec<Field>, row_bytes: usize) -> Result<Self, Misfit> {
        if key.is_array || !matches!(key.element, Element::Int | Element::Uint | Element::Bytes) {
            return Err(Misfit::Type(format!(
                "dtype field {:?} is the user key and must be one integer or bytes of fixed length (S, V)",
                key.name
            )));
        }
        key.check(row_bytes)?;
        bins.iter().try_for_each(|field| field.check(row_bytes))?;
        Ok(RowReader {
            key,
            bins,
            row_bytes,
        })
    }

    /// A record for every row of `bytes`.
    pub fn read(
        &self,
        template: &KeyTemplate,
        policy: &BatchWritePolicy,
        bytes: &[u8],
    ) -> Result<Vec<WriteRow>, Misfit> {
        let rows = bytes.chunks_exact(self.row_bytes.max(1));
        let mut keys = Gathered::with_capacity(rows.len());
        let mut contents = Vec::with_capacity(rows.len());
        for (number, row) in rows.enumerate() {
            let user_key = self.user_key(row).map_err(|misfit| misfit.in_row(number))?;
            let bins = self.bins(row).map_err(|misfit| misfit.in_row(number))?;
            keys.push(template.key(user_key));
            contents.push(bins);
        }
        let rows = keys.into_keys().into_iter().zip(contents);
        Ok(rows
            .map(|(key, bins)| WriteRow {
                key,
                bins,
                policy: policy.clone(),
            })
            .collect())
    }

    /// Bytes of fixed length are filled up with zeros, which are no part of the key.
    fn user_key(&self, row: &[u8]) -> Result<Value, Misfit> {
        let mut value = self.key.read(row)?;
        if let Value::Blob(bytes) = &mut value {
            let kept = bytes.iter().rposition(|&byte| byte != 0);
            bytes.truncate(kept.map_or(0, |last| last + 1));
        }
        Ok(value)
    }

    fn bins(&self, row: &[u8]) -> Result<Vec<Bin>, Misfit> {
        let mut bins = Vec::with_capacity(self.bins.len());
        for field in &self.bins {
            bins.push(Bin {
                name: field.name.clone(),
                value: field.read(row)?,
            });
        }
        Ok(bins)
    }
}

impl Field {
    /// The field's value. Sub-arrays are bytes, as they lie in memory.
    fn read(&self, row: &[u8]) -> Result<Value, Misfit> {
        let bytes = row
            .get(self.offset..self.offset.saturating_add(self.bytes()))
            .ok_or_else(|| {
                Misfit::Range(format!("field {:?} reaches beyond its row", self.name))
            })?;
        if self.is_array || self.element == Element::Bytes {
            return Ok(Value::Blob(bytes.to_vec()));
        }
        Ok(match (self.element, bytes) {
            (Element::Bool, [flag]) => Value::Bool(*flag != 0),
            (Element::Float, bytes) => Value::Float(self.read_float(bytes)?.into()),
            (_, bytes) => Value::Int(self.read_int(bytes)?),
        })
    }

    fn read_float(&self, bytes: &[u8]) -> Result<f64, Misfit> {
        match bytes.len() {
            2 => Ok(half_value(u16::from_ne_bytes(self.array(bytes)?))),
            4 => Ok(f32::from_ne_bytes(self.array(bytes)?).into()),
            _ => Ok(f64::from_ne_bytes(self.array(bytes)?)),
        }
    }

    fn read_int(&self, bytes: &[u8]) -> Result<i64, Misfit> {
        Ok(match (self.element, bytes.len()) {
            (Element::Int, 1) => i8::from_ne_bytes(self.array(bytes)?).into(),
            (Element::Int, 2) => i16::from_ne_bytes(self.array(bytes)?).into(),
            (Element::Int, 4) => i32::from_ne_bytes(self.array(bytes)?).into(),
            (Element::Int, _) => i64::from_ne_bytes(self.array(bytes)?),
            (_, 1) => u8::from_ne_bytes(self.array(bytes)?).into(),
            (_, 2) => u16::from_ne_bytes(self.array(bytes)?).into(),
            (_, 4) => u32::from_ne_bytes(self.array(bytes)?).into(),
            _ => {
                let number = u64::from_ne_bytes(self.array(bytes)?);
                i64::try_from(number).map_err(|_| {
                    Misfit::Range(format!(
                        "{number} in field {:?} is too large, integers go up to 2**63 - 1 (64 bits with sign)",
                        self.name
                    ))
                })?
            }
        })
    }

    fn array<const N: usize>(&self, bytes: &[u8]) -> Result<[u8; N], Misfit> {
        <[u8; N]>::try_from(bytes).map_err(|_| {
            Misfit::Type(format!(
                "field {:?} has elements of an unknown size",
                self.name
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aerospike_core::Key;
    use proptest::prelude::*;

    fn field(name: &str, element: Element, offset: usize, bytes: usize, count: usize) -> Field {
        Field {
            name: name.to_owned(),
            offset,
            element_bytes: bytes,
            count,
            is_array: count != 1,
            element,
        }
    }

    fn read(reader: &RowReader, bytes: &[u8]) -> Result<Vec<WriteRow>, Misfit> {
        let template = KeyTemplate::new("test", "demo");
        reader.read(&template, &BatchWritePolicy::default(), bytes)
    }

    #[test]
    fn keys_have_the_digests_of_other_ways_to_write_them() {
        let reader = RowReader::new(field("_key", Element::Bytes, 0, 4, 1), Vec::new(), 4).unwrap();
        let rows = read(&reader, b"abc\0\0\0\0\0").unwrap();
        assert_eq!(rows[0].key.user_key(), Some(&Value::Blob(b"abc".to_vec())));
        let text = Key::new("test", "demo", Value::String("abc".to_owned())).unwrap();
        assert_eq!(rows[0].key.digest(), text.digest());
        assert_eq!(rows[1].key.user_key(), Some(&Value::Blob(Vec::new())));

        let reader = RowReader::new(field("_key", Element::Int, 0, 2, 1), Vec::new(), 2).unwrap();
        let rows = read(&reader, &(-5i16).to_ne_bytes()).unwrap();
        assert_eq!(
            rows[0].key,
            Key::new("test", "demo", Value::Int(-5)).unwrap()
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for key in [
            field("_key", Element::Float, 0, 8, 1),
            field("_key", Element::Bool, 0, 1, 1),
            field("_key", Element::Int, 0, 4, 2),
            field("_key", Element::Int, 4, 8, 1),
        ] {
            assert!(RowReader::new(key, Vec::new(), 8).is_err());
        }
    }

    #[test]
    fn numbers_beyond_63_bits_are_refused_with_their_row() {
        let key = field("_key", Element::Uint, 0, 8, 1);
        let reader = RowReader::new(key, Vec::new(), 8).unwrap();
        let bytes = [1u64.to_ne_bytes(), u64::MAX.to_ne_bytes()].concat();
        let misfit = read(&reader, &bytes).unwrap_err().to_string();
        assert!(
            misfit.starts_with("record 1: 18446744073709551615"),
            "{misfit}"
        );
    }

    proptest! {
        #[test]
        fn every_kind_of_field_is_read(
            key: i64, a: i8, b: i32, c: u32, d: u16, e: f32, f: f64, g: bool, h: [u8; 5], i: [i16; 3],
        ) {
            let row = [
                &key.to_ne_bytes()[..], &a.to_ne_bytes(), &b.to_ne_bytes(), &c.to_ne_bytes(), &d.to_ne_bytes(),
                &e.to_ne_bytes(), &f.to_ne_bytes(), &[u8::from(g)], &h, &i.map(i16::to_ne_bytes).concat(),
            ]
            .concat();
            let fields = vec![
                field("a", Element::Int, 8, 1, 1),
                field("b", Element::Int, 9, 4, 1),
                field("c", Element::Uint, 13, 4, 1),
                field("d", Element::Float, 17, 2, 1),
                field("e", Element::Float, 19, 4, 1),
                field("f", Element::Float, 23, 8, 1),
                field("g", Element::Bool, 31, 1, 1),
                field("h", Element::Bytes, 32, 5, 1),
                field("i", Element::Int, 37, 2, 3),
            ];
            let reader = RowReader::new(field("_key", Element::Int, 0, 8, 1), fields, row.len()).unwrap();
            let written = read(&reader, &row).unwrap().remove(0);
            prop_assert_eq!(written.key.user_key(), Some(&Value::Int(key)));
            let values: Vec<_> = written.bins.into_iter().map(|bin| bin.value).collect();
            let floats = [half_value(d), e.into(), f].map(|float: f64| Value::Float(float.into()));
            let [d, e, f] = floats;
            let expected = [
                Value::Int(a.into()), Value::Int(b.into()), Value::Int(c.into()), d, e, f, Value::Bool(g),
                Value::Blob(h.to_vec()), Value::Blob(i.map(i16::to_ne_bytes).concat()),
            ];
            prop_assert_eq!(values, expected);
        }
    }
}
