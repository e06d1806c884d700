//! Tests of `array_layout`: every kind of field, what fits and what does not.

use super::*;
use aerospike_core::{BatchRecord, Key};
use proptest::prelude::*;

fn field(name: &str, element: Element, offset: usize, element_bytes: usize, count: usize) -> Field {
    Field {
        name: name.to_owned(),
        offset,
        element_bytes,
        count,
        is_array: count != 1,
        element,
    }
}

fn written(field: &Field, value: &Value) -> Result<Vec<u8>, Misfit> {
    let mut target = vec![0; field.bytes()];
    field.write(value, &mut target).map(|()| target)
}

fn float(number: f64) -> Value {
    Value::Float(number.into())
}

#[test]
fn integers_of_all_sizes_fit_or_are_refused() {
    for (bytes, least, most) in [
        (1, -128i64, 127i64),
        (2, -32_768, 32_767),
        (4, -2_147_483_648, 2_147_483_647),
    ] {
        let int = field("n", Element::Int, 0, bytes, 1);
        for number in [least, 0, most] {
            let expected = number.to_ne_bytes();
            let low = if cfg!(target_endian = "little") {
                &expected[..bytes]
            } else {
                &expected[8 - bytes..]
            };
            assert_eq!(written(&int, &Value::Int(number)).unwrap(), low);
        }
        for number in [least - 1, most + 1] {
            assert!(
                matches!(written(&int, &Value::Int(number)), Err(Misfit::Range(_))),
                "{number}"
            );
        }
        let uint = field("n", Element::Uint, 0, bytes, 1);
        assert!(written(&uint, &Value::Int(most * 2 + 1)).is_ok());
        assert!(matches!(
            written(&uint, &Value::Int(-1)),
            Err(Misfit::Range(_))
        ));
        assert!(matches!(
            written(&uint, &Value::Int(most * 2 + 2)),
            Err(Misfit::Range(_))
        ));
    }
    let widest = field("n", Element::Uint, 0, 8, 1);
    assert_eq!(
        written(&widest, &Value::Int(i64::MAX)).unwrap(),
        i64::MAX.to_ne_bytes()
    );
    assert!(matches!(
        written(&widest, &Value::Int(-1)),
        Err(Misfit::Range(_))
    ));
}

#[test]
fn floats_lose_their_fraction_in_integer_fields_but_never_their_range() {
    let int = field("n", Element::Int, 0, 8, 1);
    assert_eq!(written(&int, &float(-2.9)).unwrap(), (-2i64).to_ne_bytes());
    for number in [f64::NAN, f64::INFINITY, 9.3e18, -9.3e18] {
        assert!(
            matches!(written(&int, &float(number)), Err(Misfit::Range(_))),
            "{number}"
        );
    }
    let single = field("n", Element::Float, 0, 4, 1);
    assert_eq!(written(&single, &float(0.1)).unwrap(), 0.1f32.to_ne_bytes());
    assert_eq!(
        written(&single, &Value::Int(3)).unwrap(),
        3f32.to_ne_bytes()
    );
    let half = field("n", Element::Float, 0, 2, 1);
    assert_eq!(
        written(&half, &float(1.0)).unwrap(),
        0x3c00u16.to_ne_bytes()
    );
}

#[test]
fn bytes_are_padded_and_cut() {
    let bytes = field("b", Element::Bytes, 0, 4, 1);
    assert_eq!(
        written(&bytes, &Value::Blob(vec![1, 2])).unwrap(),
        [1, 2, 0, 0]
    );
    assert_eq!(
        written(&bytes, &Value::String("abcdef".to_owned())).unwrap(),
        b"abcd"
    );
    assert!(matches!(
        written(&bytes, &Value::Int(1)),
        Err(Misfit::Type(_))
    ));
}

#[test]
fn sub_arrays_take_lists_and_packed_bytes() {
    let array = field("v", Element::Float, 0, 4, 3);
    let list = Value::List(vec![float(1.5), Value::Int(2), Value::Nil]);
    let expected: Vec<u8> = [1.5f32, 2.0, 0.0]
        .iter()
        .flat_map(|n| n.to_ne_bytes())
        .collect();
    assert_eq!(written(&array, &list).unwrap(), expected);
    assert_eq!(
        written(&array, &Value::Blob(expected.clone())).unwrap(),
        expected
    );
    let long = Value::List(vec![Value::Int(0); 4]);
    assert!(matches!(written(&array, &long), Err(Misfit::Range(_))));
    assert!(matches!(
        written(&array, &Value::Blob(vec![0; 13])),
        Err(Misfit::Range(_))
    ));
    assert!(matches!(
        written(&array, &Value::Int(1)),
        Err(Misfit::Type(_))
    ));
}

#[test]
fn wrong_types_are_named() {
    let int = field("age", Element::Int, 0, 4, 1);
    let misfit = written(&int, &Value::String("x".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        misfit.contains("\"age\"") && misfit.contains("a str"),
        "{misfit}"
    );
    let flag = field("f", Element::Bool, 0, 1, 1);
    assert_eq!(written(&flag, &Value::Bool(true)).unwrap(), [1]);
    assert!(matches!(written(&flag, &float(1.0)), Err(Misfit::Type(_))));
    let flags = field("f", Element::Bool, 0, 1, 3);
    assert_eq!(
        written(&flags, &Value::Blob(vec![0, 1, 2])).unwrap(),
        [0, 1, 1]
    );
}

#[test]
fn layouts_outside_of_their_row_are_refused() {
    assert!(Layout::new(vec![], 8).is_err());
    assert!(Layout::new(vec![field("a", Element::Int, 4, 8, 1)], 8).is_err());
    assert!(Layout::new(vec![field("a", Element::Int, 0, 3, 1)], 8).is_err());
    assert!(Layout::new(vec![field("a", Element::Float, 0, 16, 1)], 16).is_err());
    assert!(Layout::new(vec![field("a", Element::Bytes, 0, usize::MAX, 2)], 16).is_err());
    assert!(Layout::new(vec![field("a", Element::Int, 0, 8, 1)], 8).is_ok());
}

#[test]
fn rows_without_an_answer_stay_zero_and_carry_a_code() {
    let layout = Layout::new(vec![field("n", Element::Int, 0, 8, 1)], 8).unwrap();
    let key = Key::new("test", "demo", Value::Int(1)).unwrap();
    let records = vec![
        BatchRecord::new(key.clone(), false),
        BatchRecord::new(key, false),
    ];
    let batch = Rows::new(records, 14);
    let (mut rows, mut metadata, mut codes) = ([0; 16], [0; 16], [0; 8]);
    layout.fill(&batch, &mut rows).unwrap();
    fill_metadata(&batch, &mut metadata).unwrap();
    fill_codes(&batch, &mut codes).unwrap();
    assert_eq!(rows, [0; 16]);
    assert_eq!(metadata, [0; 16]);
    assert_eq!(codes[..4], 14i32.to_ne_bytes());
    assert_eq!(codes[4..], 14i32.to_ne_bytes());
}

proptest! {
    #[test]
    fn nothing_is_written_outside_of_the_field(
        kind in 0usize..5, size in 0usize..4, count in 1usize..4, number in any::<i64>(), text in ".{0,20}",
    ) {
        let element = [Element::Int, Element::Uint, Element::Float, Element::Bool, Element::Bytes][kind];
        let element_bytes = match element {
            Element::Bool => 1,
            Element::Float => [2, 4, 8, 8][size],
            _ => [1, 2, 4, 8][size],
        };
        let field = field("x", element, 0, element_bytes, count);
        for value in [Value::Int(number), float(number as f64), Value::String(text), Value::List(vec![Value::Int(number)])] {
            let mut target = vec![0xaau8; field.bytes() + 8];
            let (inside, outside) = target.split_at_mut(field.bytes());
            let _ = field.write(&value, inside);
            prop_assert!(outside.iter().all(|&byte| byte == 0xaa));
        }
    }
}
