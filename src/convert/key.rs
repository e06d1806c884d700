//! Keys: `(namespace, set, user_key)` or `(namespace, set, user_key or None, digest)`.

use aerospike_core::{Key, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::convert::digest::{digest, digest_many, Digest, Message, DIGEST_BYTES, MOST_LANES};
use crate::convert::names::name_into_python;
use crate::convert::result_types::{named_tuple, result_types};
use crate::convert::text::utf8;
use crate::convert::value_in::{bytes_from_python, int_from_python, type_name, Place};
use crate::convert::value_out::value_into_python;
use crate::exceptions::invalid_argument;

const MAX_NAMESPACE_BYTES: usize = 31;
const MAX_SET_BYTES: usize = 63;
/// The wire's numbers for the types of user keys, which go into digests.
const INT_PARTICLE: u8 = 1;
const STRING_PARTICLE: u8 = 3;
const BLOB_PARTICLE: u8 = 4;

const SHAPE: &str = "a key is (namespace, set, user_key) or (namespace, set, None, digest)";

/// Converts a key.
pub fn key_from_python(object: &Bound<'_, PyAny>) -> PyResult<Key> {
    Undigested::from_python(object).map(Undigested::into_key)
}

/// A key that still needs its digest, unless it was given.
pub struct Undigested {
    namespace: String,
    set: String,
    user_key: Option<Value>,
    particle: u8,
    /// An integer as it goes into the digest.
    int: [u8; 8],
    given: Option<Digest>,
}

impl Undigested {
    /// Converts a key up to its digest.
    pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return Undigested::from_items(tuple.as_slice());
        }
        if let Ok(list) = object.cast::<PyList>() {
            return Undigested::from_items(list.to_tuple().as_slice());
        }
        Err(PyTypeError::new_err(format!(
            "{SHAPE}, not a {}",
            type_name(object)
        )))
    }

    fn from_items(items: &[Bound<'_, PyAny>]) -> PyResult<Self> {
        let (namespace, set, user_key, given) = match items {
            [namespace, set, user_key] => (namespace, set, user_key, None),
            [namespace, set, user_key, digest] => (
                namespace,
                set,
                user_key,
                Some(digest).filter(|digest| !digest.is_none()),
            ),
            _ => {
                return Err(invalid_argument(format!(
                    "{SHAPE}, not {} items",
                    items.len()
                )));
            }
        };
        let key = Undigested {
            namespace: namespace_from_python(namespace)?,
            set: set_from_python(set)?,
            given: given.map(digest_from_python).transpose()?,
            ..Undigested::of_user_key(user_key)?
        };
        if key.user_key.is_none() && key.given.is_none() {
            return Err(invalid_argument(format!(
                "{SHAPE}: without a user key there must be a digest"
            )));
        }
        Ok(key)
    }

    /// A `bytes` user key is digested as if it were a string, which is what other Python clients do:
    /// records written by them are found, and the other way round. A `bytearray` is a blob to them.
    fn of_user_key(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(string) = object.cast::<PyString>() {
            let text = utf8(string, Place::UserKey)?.to_owned();
            return Ok(Undigested::new(Some(Value::String(text)), STRING_PARTICLE));
        }
        if let Ok(number) = object.cast::<PyInt>() {
            if !object.is_instance_of::<PyBool>() {
                return int_from_python(number, Place::UserKey).map(Undigested::of_int);
            }
        }
        if object.is_none() {
            return Ok(Undigested::new(None, 0));
        }
        if let Some(bytes) = bytes_from_python(object)? {
            let particle = if object.is_instance_of::<PyBytes>() {
                STRING_PARTICLE
            } else {
                BLOB_PARTICLE
            };
            return Ok(Undigested::new(Some(Value::Blob(bytes)), particle));
        }
        Err(PyTypeError::new_err(format!(
            "the user key must be str, int or bytes, not {}",
            type_name(object)
        )))
    }

    #[inline]
    fn new(user_key: Option<Value>, particle: u8) -> Self {
        Undigested {
            namespace: String::new(),
            set: String::new(),
            user_key,
            particle,
            int: [0; 8],
            given: None,
        }
    }

    #[inline]
    fn of_int(number: i64) -> Self {
        Undigested {
            int: number.to_be_bytes(),
            ..Undigested::new(Some(Value::Int(number)), INT_PARTICLE)
        }
    }

    #[inline]
    fn message(&self) -> Message<'_> {
        Message {
            set: self.set.as_bytes(),
            particle: self.particle,
            user_key: match &self.user_key {
                Some(Value::String(text)) => text.as_bytes(),
                Some(Value::Blob(bytes)) => bytes,
                _ => &self.int,
            },
        }
    }

    fn into_key(self) -> Key {
        let digest = match self.given {
            Some(given) => given,
            None => digest(self.message()),
        };
        self.with_digest(digest)
    }

    #[inline]
    fn with_digest(self, digest: Digest) -> Key {
        let digest = self.given.unwrap_or(digest);
        Key::with_digest(self.namespace, self.set, self.user_key, digest)
    }
}

/// What the keys of one call have in common.
pub struct KeyTemplate {
    namespace: String,
    set: String,
}

impl KeyTemplate {
    /// Names that have been checked.
    pub fn new(namespace: impl Into<String>, set: impl Into<String>) -> Self {
        KeyTemplate {
            namespace: namespace.into(),
            set: set.into(),
        }
    }

    /// Checks and converts the names.
    pub fn from_python(namespace: &Bound<'_, PyAny>, set: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(KeyTemplate::new(
            namespace_from_python(namespace)?,
            set_from_python(set)?,
        ))
    }

    /// A key with a user key, which is an integer or bytes.
    pub fn key(&self, user_key: Value) -> Undigested {
        let key = match user_key {
            Value::Int(number) => Undigested::of_int(number),
            value => Undigested::new(Some(value), STRING_PARTICLE),
        };
        Undigested {
            namespace: self.namespace.clone(),
            set: self.set.clone(),
            ..key
        }
    }
}

/// Gathers keys, and computes their digests in groups.
pub struct Gathered {
    keys: Vec<Key>,
    open: Vec<Undigested>,
}

impl Gathered {
    /// Room for as many keys.
    pub fn with_capacity(keys: usize) -> Self {
        Gathered {
            keys: Vec::with_capacity(keys),
            open: Vec::with_capacity(MOST_LANES),
        }
    }

    /// Takes a key.
    #[inline]
    pub fn push(&mut self, key: Undigested) {
        self.open.push(key);
        if self.open.len() == MOST_LANES {
            self.close_group();
        }
    }

    fn close_group(&mut self) {
        let mut messages = [Message::default(); MOST_LANES];
        for (key, message) in self.open.iter().zip(&mut messages) {
            *message = key.message();
        }
        let digests = digest_many(&messages[..self.open.len()]);
        let closed = self.open.drain(..).zip(digests);
        self.keys
            .extend(closed.map(|(key, digest)| key.with_digest(digest)));
    }

    /// The keys in their order.
    pub fn into_keys(mut self) -> Vec<Key> {
        self.close_group();
        self.keys
    }
}

fn digest_from_python(object: &Bound<'_, PyAny>) -> PyResult<[u8; DIGEST_BYTES]> {
    let bytes = bytes_from_python(object)?.ok_or_else(|| {
        PyTypeError::new_err(format!(
            "the digest of a key must be bytes, not {}",
            type_name(object)
        ))
    })?;
    <[u8; DIGEST_BYTES]>::try_from(bytes.as_slice()).map_err(|_| {
        invalid_argument(format!(
            "the digest of a key has {DIGEST_BYTES} bytes, not {}",
            bytes.len()
        ))
    })
}

/// Checks and converts the name of a namespace.
fn namespace_from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = text(object, "the namespace")?;
    check_namespace(name)?;
    Ok(name.to_owned())
}

/// Checks the name of a namespace.
pub fn check_namespace(name: &str) -> PyResult<()> {
    if name.is_empty() {
        return Err(invalid_argument("the namespace must not be empty"));
    }
    check_length(name, MAX_NAMESPACE_BYTES, "a namespace")
}

/// Checks the name of a set, which may be empty.
pub fn check_set(name: &str) -> PyResult<()> {
    check_length(name, MAX_SET_BYTES, "a set")
}

fn set_from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
    if object.is_none() {
        return Ok(String::new());
    }
    let name = text(object, "the set")?;
    check_set(name)?;
    Ok(name.to_owned())
}

fn text<'a>(object: &'a Bound<'_, PyAny>, what: &str) -> PyResult<&'a str> {
    match object.cast::<PyString>() {
        Ok(string) => utf8(string, format_args!("{what} of a key")),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{what} of a key must be a str, not {}",
            type_name(object)
        ))),
    }
}

fn check_length(name: &str, limit: usize, what: &str) -> PyResult<()> {
    if name.len() > limit {
        return Err(invalid_argument(format!(
            "the name of {what} has at most {limit} bytes, not {}: {name:?}",
            name.len()
        )));
    }
    Ok(())
}

/// Converts a key back.
pub fn key_into_python<'py>(py: Python<'py>, key: &Key) -> PyResult<Bound<'py, PyAny>> {
    let fields = [
        name_into_python(py, key.namespace()).into_any(),
        name_into_python(py, key.set_name()).into_any(),
        user_key_into_python(py, key)?,
        PyBytes::new(py, &key.digest()).into_any(),
    ];
    named_tuple(py, &result_types(py)?.aerospike_key, fields)
}

/// The user key of a key, or `None`.
pub fn user_key_into_python<'py>(py: Python<'py>, key: &Key) -> PyResult<Bound<'py, PyAny>> {
    match key.user_key() {
        Some(value) => value_into_python(py, value),
        None => Ok(py.None().into_bound(py)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(user_key: Option<Value>, particle: u8, int: i64) -> String {
        let key = Undigested {
            set: "demo".to_owned(),
            int: int.to_be_bytes(),
            ..Undigested::new(user_key, particle)
        };
        let digest = key.into_key().digest();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Expected values: `aerospike.calc_digest` of the official Python client.
    #[test]
    fn digests_agree_with_the_official_client() {
        let text = Value::String("abc".to_owned());
        assert_eq!(
            hex(Some(text), STRING_PARTICLE, 0),
            "5bb7c351d00567dcdabd54658e1f98e5e964b744"
        );
        assert_eq!(
            hex(Some(Value::Int(-1)), INT_PARTICLE, -1),
            "e9d49a24c3debdc5a6d551d3e7087999a263bb97"
        );
        let blob = Value::Blob(vec![0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(
            hex(Some(blob), BLOB_PARTICLE, 0),
            "ed8f2f28c00caeb945d416497d73f81d41314db3"
        );
        let bytes = Value::Blob(b"abc".to_vec());
        assert_eq!(
            hex(Some(bytes), STRING_PARTICLE, 0),
            "5bb7c351d00567dcdabd54658e1f98e5e964b744"
        );
    }

    #[test]
    fn digests_agree_with_the_driver() {
        let numbers = [0, 1, -1, i64::MIN, i64::MAX, 1_234_567_890_123];
        let values = numbers
            .iter()
            .map(|&number| (Value::Int(number), INT_PARTICLE, number))
            .chain((0..200).flat_map(|len| {
                [
                    (Value::String("x".repeat(len)), STRING_PARTICLE, 0),
                    (Value::Blob(vec![7; len]), BLOB_PARTICLE, 0),
                ]
            }));
        let mut gathered = Gathered::with_capacity(0);
        let mut expected = Vec::new();
        for (value, particle, number) in values {
            expected.push(Key::new("test", "demo", value.clone()).unwrap());
            gathered.push(Undigested {
                namespace: "test".to_owned(),
                set: "demo".to_owned(),
                int: number.to_be_bytes(),
                ..Undigested::new(Some(value), particle)
            });
        }
        assert_eq!(gathered.into_keys(), expected);
    }

    #[test]
    fn a_given_digest_is_kept_among_others() {
        let given = Undigested {
            given: Some([7; DIGEST_BYTES]),
            ..Undigested::of_int(1)
        };
        let mut gathered = Gathered::with_capacity(2);
        gathered.push(given);
        gathered.push(Undigested::of_int(1));
        let keys = gathered.into_keys();
        assert_eq!(keys[0].digest(), [7; DIGEST_BYTES]);
        assert_eq!(
            keys[1].digest(),
            Key::new("", "", Value::Int(1)).unwrap().digest()
        );
    }
}
