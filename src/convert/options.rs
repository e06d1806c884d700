//! Dictionaries of options: policies, metas, the configuration. Unknown entries are ignored, as are
//! entries that are `None`; entries of a wrong type are refused by name.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};

use crate::convert::entries::gather;
use crate::convert::names::{name_into_python, place_of};
use crate::convert::text::utf8;
use crate::convert::value_in::type_name;
use crate::exceptions::invalid_argument;

/// A dictionary of options, or none at all.
pub struct Options<'a, 'py> {
    dict: Option<&'a Bound<'py, PyDict>>,
    /// A bit for every name that is there, so that most that are not need no lookup.
    names: u64,
    name: &'static str,
}

impl<'a, 'py> Options<'a, 'py> {
    /// `name` is what messages call it.
    pub fn new(object: Option<&'a Bound<'py, PyAny>>, name: &'static str) -> PyResult<Self> {
        let dict = match object.filter(|object| !object.is_none()) {
            None => None,
            Some(object) => Some(object.cast::<PyDict>().map_err(|_| {
                PyTypeError::new_err(format!("{name} must be a dict, not {}", type_name(object)))
            })?),
        };
        let names = match dict {
            None => 0,
            Some(dict) => gather(
                dict,
                |_| 0,
                |names, key, _| {
                    if let Ok(key) = key.cast::<PyString>() {
                        // Half of a surrogate pair is in no name that anybody asks for.
                        *names |= key.to_str().map_or(0, bit_of);
                    }
                    Ok(())
                },
            )?,
        };
        Ok(Options { dict, names, name })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.dict.is_none_or(|dict| dict.is_empty())
    }

    /// An entry, whatever its type.
    pub fn get(&self, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.dict {
            None => Ok(None),
            Some(_) if self.names & bit_of(key) == 0 => Ok(None),
            Some(dict) => {
                let key = name_into_python(dict.py(), key);
                Ok(dict.get_item(key)?.filter(|value| !value.is_none()))
            }
        }
    }

    /// An integer entry from `least` to `most`.
    pub fn int(&self, key: &str, least: i64, most: i64) -> PyResult<Option<i64>> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        let number = value
            .cast::<PyInt>()
            .ok()
            .filter(|_| !value.is_instance_of::<PyBool>());
        let Some(number) = number else {
            return Err(self.wrong_type(key, "an int", &value));
        };
        let number = number.extract::<i64>().map_err(|_| {
            PyOverflowError::new_err(format!("{}[{key:?}] does not fit into 64 bits", self.name))
        })?;
        if number < least || number > most {
            return Err(invalid_argument(format!(
                "{}[{key:?}] must be from {least} to {most}, not {number}",
                self.name
            )));
        }
        Ok(Some(number))
    }

    /// An integer entry of 32 bits without sign.
    pub fn u32(&self, key: &str) -> PyResult<Option<u32>> {
        let number = self.int(key, 0, i64::from(u32::MAX))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// An integer entry that counts something.
    pub fn count(&self, key: &str) -> PyResult<Option<usize>> {
        let number = self.int(key, 0, i64::from(u32::MAX))?;
        Ok(number.and_then(|number| usize::try_from(number).ok()))
    }

    /// An entry that is one of the numbers from 0 on that name the choices.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[T]) -> PyResult<Option<T>> {
        let most = i64::try_from(choices.len()).unwrap_or(i64::MAX) - 1;
        let number = self.int(key, 0, most)?;
        Ok(number.and_then(|number| choices.get(usize::try_from(number).ok()?).copied()))
    }

    /// A boolean entry.
    pub fn flag(&self, key: &str) -> PyResult<Option<bool>> {
        match self.get(key)? {
            None => Ok(None),
            Some(value) => match value.cast::<PyBool>() {
                Ok(flag) => Ok(Some(flag.is_true())),
                Err(_) => Err(self.wrong_type(key, "a bool", &value)),
            },
        }
    }

    /// A string entry.
    pub fn text(&self, key: &str) -> PyResult<Option<String>> {
        match self.get(key)? {
            None => Ok(None),
            Some(value) => match value.cast::<PyString>() {
                Ok(text) => {
                    let what = format_args!("{}[{key:?}]", self.name);
                    Ok(Some(utf8(text, what)?.to_owned()))
                }
                Err(_) => Err(self.wrong_type(key, "a str", &value)),
            },
        }
    }

    fn wrong_type(&self, key: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
        PyTypeError::new_err(format!(
            "{}[{key:?}] must be {expected}, not {}",
            self.name,
            type_name(value)
        ))
    }
}

/// One of 64 bits, the same for the same name.
fn bit_of(name: &str) -> u64 {
    1 << (place_of(name) % 64)
}
