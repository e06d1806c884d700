//! The operation dictionaries of `operate`: `{"op": OPERATOR_*, "bin": name, "val": value}`.

use aerospike_core::operations::{self, Operation};
use aerospike_core::{Bin, Expiration, FloatValue, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::constants;
use crate::convert::bins::name_from_python;
use crate::convert::names::name_into_python;
use crate::convert::policies::checked_expiration;
use crate::convert::text::utf8;
use crate::convert::value_in::{
    bytes_from_python, int_from_python, type_name, value_from_python, Place,
};
use crate::exceptions::invalid_argument;
use crate::ops::request::Answer;

/// The steps of an `operate`.
#[derive(Debug, Default)]
pub struct Steps {
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// What each may answer.
    pub answers: Vec<Answer>,
    /// Whether one of them writes.
    pub writes: bool,
    /// The time to live that a touch asks for.
    pub expiration: Option<Expiration>,
}

/// Converts the list of operations.
pub fn steps_from_python(object: &Bound<'_, PyAny>) -> PyResult<Steps> {
    let items = match (object.cast::<PyList>(), object.cast::<PyTuple>()) {
        (Ok(list), _) => list.to_tuple(),
        (_, Ok(tuple)) => tuple.clone(),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "ops must be a list of operations, not {}",
                type_name(object)
            )))
        }
    };
    if items.is_empty() {
        return Err(invalid_argument(
            "ops must not be empty: give at least one operation",
        ));
    }
    let mut steps = Steps::default();
    for item in items.as_slice() {
        let dict = item.cast::<PyDict>().map_err(|_| {
            PyTypeError::new_err(format!(
                "an operation is a dict like {{\"op\": OPERATOR_READ, \"bin\": \"name\"}}, not a {}",
                type_name(item)
            ))
        })?;
        add_step(dict, &mut steps)?;
    }
    Ok(steps)
}

fn add_step(dict: &Bound<'_, PyDict>, steps: &mut Steps) -> PyResult<()> {
    let code = code_of(dict)?;
    let bin = match entry(dict, "bin")? {
        Some(name) => Some(name_from_python(&name)?),
        None => None,
    };
    let value = entry(dict, "val")?;
    let operation = match code {
        constants::OPERATOR_READ => {
            steps.answers.push(Answer {
                bin: bin.clone(),
                reads: true,
            });
            steps
                .operations
                .push(bin.map_or_else(operations::get, operations::get_bin));
            return Ok(());
        }
        constants::OPERATOR_WRITE => {
            let name = required(bin.clone(), "OPERATOR_WRITE")?;
            let value = match &value {
                Some(value) => value_from_python(value, Place::Bin(&name))?,
                None => Value::Nil,
            };
            operations::put(&Bin { name, value })
        }
        constants::OPERATOR_INCR => {
            let name = required(bin.clone(), "OPERATOR_INCR")?;
            let value = number_from_python(value.as_ref(), &name)?;
            operations::add(&Bin { name, value })
        }
        constants::OPERATOR_APPEND => {
            let name = required(bin.clone(), "OPERATOR_APPEND")?;
            let value = text_from_python(value.as_ref(), &name)?;
            operations::append(&Bin { name, value })
        }
        constants::OPERATOR_PREPEND => {
            let name = required(bin.clone(), "OPERATOR_PREPEND")?;
            let value = text_from_python(value.as_ref(), &name)?;
            operations::prepend(&Bin { name, value })
        }
        constants::OPERATOR_TOUCH => {
            if let Some(seconds) = value {
                let seconds = seconds.extract::<i64>().map_err(|_| {
                    PyTypeError::new_err(format!(
                        "\"val\" of OPERATOR_TOUCH must be a number of seconds, not {}",
                        type_name(&seconds)
                    ))
                })?;
                if seconds != 0 {
                    steps.expiration =
                        Some(checked_expiration(seconds, "\"val\" of OPERATOR_TOUCH")?);
                }
            }
            operations::touch()
        }
        constants::OPERATOR_DELETE => operations::delete(),
        code => return Err(unsupported(code)),
    };
    let named = !matches!(code, constants::OPERATOR_TOUCH | constants::OPERATOR_DELETE);
    steps.answers.push(Answer {
        bin: bin.filter(|_| named),
        reads: false,
    });
    steps.operations.push(operation);
    steps.writes = true;
    Ok(())
}

fn code_of(dict: &Bound<'_, PyDict>) -> PyResult<i32> {
    let Some(code) = entry(dict, "op")? else {
        return Err(invalid_argument(
            "an operation needs an entry \"op\": one of OPERATOR_*",
        ));
    };
    if code.is_instance_of::<PyBool>() || !code.is_instance_of::<PyInt>() {
        return Err(PyTypeError::new_err(format!(
            "\"op\" of an operation must be one of OPERATOR_*, not a {}",
            type_name(&code)
        )));
    }
    code.extract::<i32>()
        .map_err(|_| invalid_argument("\"op\" of an operation must be one of OPERATOR_*"))
}

fn unsupported(code: i32) -> PyErr {
    const FIRST_COLLECTION_CODE: i32 = 1000;
    if code >= FIRST_COLLECTION_CODE {
        return invalid_argument(format!(
            "operation code {code} works inside lists, maps, HyperLogLog or bits, which this version does not support"
        ));
    }
    invalid_argument(format!(
        "unknown operation code {code}: use OPERATOR_READ, OPERATOR_WRITE, OPERATOR_INCR, OPERATOR_APPEND, \
         OPERATOR_PREPEND, OPERATOR_TOUCH or OPERATOR_DELETE"
    ))
}

fn entry<'py>(dict: &Bound<'py, PyDict>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let key = name_into_python(dict.py(), key);
    Ok(dict.get_item(key)?.filter(|value| !value.is_none()))
}

fn required(bin: Option<String>, operator: &str) -> PyResult<String> {
    bin.ok_or_else(|| invalid_argument(format!("{operator} needs an entry \"bin\"")))
}

/// The number that an increment adds.
pub fn number_from_python(object: Option<&Bound<'_, PyAny>>, bin: &str) -> PyResult<Value> {
    if let Some(object) = object.filter(|object| !object.is_instance_of::<PyBool>()) {
        if let Ok(number) = object.cast::<PyInt>() {
            return int_from_python(number, Place::Bin(bin)).map(Value::Int);
        }
        if let Ok(number) = object.cast::<PyFloat>() {
            return Ok(Value::Float(FloatValue::from(number.value())));
        }
    }
    Err(PyTypeError::new_err(format!(
        "what is added to bin {bin:?} must be an int or a float, not {}",
        object.map_or_else(|| "None".to_owned(), type_name)
    )))
}

/// What an append or a prepend adds.
pub fn text_from_python(object: Option<&Bound<'_, PyAny>>, bin: &str) -> PyResult<Value> {
    if let Some(object) = object {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Value::String(utf8(text, Place::Bin(bin))?.to_owned()));
        }
        if let Some(bytes) = bytes_from_python(object)? {
            return Ok(Value::Blob(bytes));
        }
    }
    Err(PyTypeError::new_err(format!(
        "what is added to bin {bin:?} must be str or bytes, not {}",
        object.map_or_else(|| "None".to_owned(), type_name)
    )))
}
