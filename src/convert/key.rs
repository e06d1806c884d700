//! Keys: `(namespace, set, user_key)` or `(namespace, set, user_key or None, digest)`.

use aerospike_core::{Key, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString, PyTuple};
use ripemd::{Digest, Ripemd160};

use crate::convert::names::name_into_python;
use crate::convert::result_types::{named_tuple, result_types};
use crate::convert::text::utf8;
use crate::convert::value_in::{bytes_from_python, int_from_python, type_name, Place};
use crate::convert::value_out::value_into_python;
use crate::error::Fault;
use crate::exceptions::invalid_argument;

const MAX_NAMESPACE_BYTES: usize = 31;
const MAX_SET_BYTES: usize = 63;
const DIGEST_BYTES: usize = 20;
/// The wire's number for strings, which goes into a digest.
const STRING_PARTICLE: u8 = 3;

const SHAPE: &str = "a key is (namespace, set, user_key) or (namespace, set, None, digest)";

/// Converts a key.
pub fn key_from_python(object: &Bound<'_, PyAny>) -> PyResult<Key> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return key_from_items(tuple.as_slice());
    }
    if let Ok(list) = object.cast::<PyList>() {
        return key_from_items(list.to_tuple().as_slice());
    }
    Err(PyTypeError::new_err(format!(
        "{SHAPE}, not a {}",
        type_name(object)
    )))
}

fn key_from_items(items: &[Bound<'_, PyAny>]) -> PyResult<Key> {
    let (namespace, set, user_key, digest) = match items {
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
    let namespace = namespace_from_python(namespace)?;
    let set = set_from_python(set)?;
    let digest = digest.map(digest_from_python).transpose()?;
    build(namespace, set, user_key, digest)
}

fn build(
    namespace: String,
    set: String,
    user_key: &Bound<'_, PyAny>,
    digest: Option<[u8; DIGEST_BYTES]>,
) -> PyResult<Key> {
    let value = user_key_from_python(user_key)?;
    match (value, digest) {
        (value, Some(digest)) => Ok(Key::with_digest(namespace, set, value, digest)),
        (None, None) => Err(invalid_argument(format!(
            "{SHAPE}: without a user key there must be a digest"
        ))),
        (Some(Value::Blob(bytes)), None) if user_key.is_instance_of::<PyBytes>() => {
            let digest = digest_of_bytes(&set, &bytes);
            Ok(Key::with_digest(
                namespace,
                set,
                Some(Value::Blob(bytes)),
                digest,
            ))
        }
        (Some(value), None) => {
            Key::new(namespace, set, value).map_err(|error| Fault::driver(error).into())
        }
    }
}

/// The digest of a `bytes` user key, which other Python clients compute as if it were a string:
/// records written by them are found, and the other way round. A `bytearray` is a blob to them.
fn digest_of_bytes(set: &str, user_key: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hash = Ripemd160::new();
    hash.update(set.as_bytes());
    hash.update([STRING_PARTICLE]);
    hash.update(user_key);
    hash.finalize().into()
}

fn user_key_from_python(object: &Bound<'_, PyAny>) -> PyResult<Option<Value>> {
    if let Ok(string) = object.cast::<PyString>() {
        return Ok(Some(Value::String(
            utf8(string, Place::UserKey)?.to_owned(),
        )));
    }
    if let Ok(number) = object.cast::<PyInt>() {
        if !object.is_instance_of::<PyBool>() {
            return int_from_python(number, Place::UserKey).map(|number| Some(Value::Int(number)));
        }
    }
    if object.is_none() {
        return Ok(None);
    }
    if let Some(bytes) = bytes_from_python(object)? {
        return Ok(Some(Value::Blob(bytes)));
    }
    Err(PyTypeError::new_err(format!(
        "the user key must be str, int or bytes, not {}",
        type_name(object)
    )))
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
pub fn namespace_from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
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

    fn hex(digest: [u8; DIGEST_BYTES]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Expected values: `aerospike.calc_digest` of the official Python client.
    #[test]
    fn digests_agree_with_the_official_client() {
        let string = Key::new("test", "demo", Value::String("abc".to_owned())).unwrap();
        assert_eq!(
            hex(string.digest()),
            "5bb7c351d00567dcdabd54658e1f98e5e964b744"
        );
        let int = Key::new("test", "demo", Value::Int(-1)).unwrap();
        assert_eq!(
            hex(int.digest()),
            "e9d49a24c3debdc5a6d551d3e7087999a263bb97"
        );
        let blob = Key::new("test", "demo", Value::Blob(vec![0xde, 0xad, 0xbe, 0xef])).unwrap();
        assert_eq!(
            hex(blob.digest()),
            "ed8f2f28c00caeb945d416497d73f81d41314db3"
        );
    }

    #[test]
    fn bytes_are_digested_like_the_string_with_the_same_bytes() {
        assert_eq!(
            hex(digest_of_bytes("demo", b"abc")),
            "5bb7c351d00567dcdabd54658e1f98e5e964b744"
        );
    }
}
