//! Bins that have stayed in the bytes of their reply, into Python objects.
//!
//! Nothing is copied but into the Python object itself. What was checked when the reply arrived is
//! read here without a second look, except for what would endanger memory or the stack.

use aerospike_rt::replies::msgpack::{Order, Reader, Token, MAX_DEPTH};
use aerospike_rt::replies::{Bin, Bins, Particle};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::convert::names::name_into_python;
use crate::convert::record::bins_into_python;
use crate::convert::shapes::{fill_in, take_notice};
use crate::convert::text::text_into_python;
use crate::error::Fault;
use crate::ops::request::RowBins;

/// Makes the dictionaries of records, one after the other.
///
/// Records of a set mostly have the same bins in the same order: a dictionary that already has
/// those keys is copied and filled in, which takes neither hashing nor growing.
pub struct BinsIntoPython<'py, 'a> {
    py: Python<'py>,
    names: Vec<(&'a [u8], Bound<'py, PyString>)>,
    /// A dictionary with these names and no values.
    template: Option<Bound<'py, PyDict>>,
}

impl<'py, 'a> BinsIntoPython<'py, 'a> {
    /// Without knowledge of any record.
    pub fn new(py: Python<'py>) -> Self {
        BinsIntoPython {
            py,
            names: Vec::new(),
            template: None,
        }
    }

    /// The bins of a record as a dictionary.
    pub fn convert(&mut self, bins: RowBins<'a>) -> PyResult<Bound<'py, PyDict>> {
        match bins {
            RowBins::Decoded(bins) => bins_into_python(self.py, bins),
            RowBins::Kept(bins) => {
                if !self.names.is_empty() {
                    if let Some(dict) = self.like_the_last(bins.clone())? {
                        return Ok(dict);
                    }
                }
                self.unlike_the_last(bins)
            }
        }
    }

    /// A record with the names of the one before; `None` if it has others.
    fn like_the_last(&mut self, bins: Bins<'a>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let template = match &self.template {
            Some(template) => template,
            None => {
                let template = PyDict::new(self.py);
                for (_, string) in &self.names {
                    template.set_item(string, self.py.None())?;
                }
                self.template.insert(template)
            }
        };
        let dict = template.copy()?;
        let mut names = self.names.iter();
        for (name, particle) in bins {
            match names.next() {
                Some((known, string)) if *known == name => {
                    dict.set_item(string, particle_into_python(self.py, particle)?)?;
                }
                _ => return Ok(None),
            }
        }
        Ok(names.next().is_none().then_some(dict))
    }

    fn unlike_the_last(&mut self, bins: Bins<'a>) -> PyResult<Bound<'py, PyDict>> {
        self.template = None;
        self.names.clear();
        let dict = PyDict::new(self.py);
        for (name, particle) in bins.clone() {
            let string = name_into_python(self.py, utf8(name)?);
            dict.set_item(&string, particle_into_python(self.py, particle)?)?;
            self.names.push((name, string));
        }
        if dict.len() == self.names.len() {
            return Ok(dict);
        }
        self.names.clear();
        several_per_name(self.py, bins)
    }
}

/// The bins of a record that was read by itself; of those without a value, the driver says nothing.
pub fn kept_bins_into_python<'py>(py: Python<'py>, bins: Bins<'_>) -> PyResult<Bound<'py, PyDict>> {
    let bins = bins.filter(|(_, particle)| !matches!(particle, Particle::Nil));
    let value = |particle| particle_into_python(py, particle);
    if let Some(dict) = fill_in(py, bins.clone(), value)? {
        return Ok(dict);
    }
    let dict = PyDict::new(py);
    let mut count = 0;
    for (name, particle) in bins.clone() {
        dict.set_item(name_into_python(py, utf8(name)?), value(particle)?)?;
        count += 1;
    }
    if dict.len() == count {
        take_notice(&dict, bins)?;
        return Ok(dict);
    }
    several_per_name(py, bins)
}

/// A bin that a reply has several times has the list of these values.
fn several_per_name<'py, 'a>(
    py: Python<'py>,
    bins: impl Iterator<Item = Bin<'a>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut gathered: Vec<(&'a [u8], Vec<Bound<'py, PyAny>>)> = Vec::new();
    for (name, particle) in bins {
        let value = particle_into_python(py, particle)?;
        match gathered.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => gathered.push((name, vec![value])),
        }
    }
    let dict = PyDict::new(py);
    for (name, mut values) in gathered {
        let name = name_into_python(py, utf8(name)?);
        match (values.len(), values.pop()) {
            (1, Some(value)) => dict.set_item(name, value)?,
            (_, last) => {
                values.extend(last);
                dict.set_item(name, PyList::new(py, values)?)?;
            }
        }
    }
    Ok(dict)
}

#[inline]
fn particle_into_python<'py>(
    py: Python<'py>,
    particle: Particle<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match particle {
        Particle::Int(number) => PyInt::new(py, number).into_any(),
        Particle::Float(number) => PyFloat::new(py, number).into_any(),
        Particle::Text(text) | Particle::GeoJson(text) => string(py, text)?,
        Particle::Blob(bytes) | Particle::Hll(bytes) => PyBytes::new(py, bytes).into_any(),
        Particle::Bool(flag) => PyBool::new(py, flag).to_owned().into_any(),
        Particle::Nil => py.None().into_bound(py),
        Particle::List(bytes) | Particle::Map(bytes) => next_value(py, &mut Reader::new(bytes), 0)?,
    })
}

fn next_value<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match next_token(reader, depth)? {
        Token::List(count) => {
            let items = (0..count).map(|_| next_value(py, reader, depth + 1));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Token::Map(count, Order::Keyed) => {
            let dict = PyDict::new(py);
            for _ in 0..count {
                let key = next_key(py, reader, depth + 1)?;
                dict.set_item(key, next_value(py, reader, depth + 1)?)?;
            }
            dict.into_any()
        }
        Token::Map(count, Order::Pairs) => {
            let pairs = (0..count).map(|_| {
                let key = next_value(py, reader, depth + 1)?;
                PyTuple::new(py, [key, next_value(py, reader, depth + 1)?])
            });
            PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        token => scalar(py, token)?,
    })
}

/// A map's key: other clients can store lists and maps there, which become tuples.
fn next_key<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    depth: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match next_token(reader, depth)? {
        Token::List(count) => {
            let items = (0..count).map(|_| next_key(py, reader, depth + 1));
            PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Token::Map(count, _) => {
            let pairs = (0..count).map(|_| {
                let key = next_key(py, reader, depth + 1)?;
                PyTuple::new(py, [key, next_key(py, reader, depth + 1)?])
            });
            PyTuple::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        token => scalar(py, token)?,
    })
}

fn next_token<'a>(reader: &mut Reader<'a>, depth: usize) -> PyResult<Token<'a>> {
    let Some(token) = reader.token() else {
        return Err(Fault::internal("a list or map of a reply ends before its last item").into());
    };
    if depth >= MAX_DEPTH && matches!(token, Token::List(_) | Token::Map(..)) {
        return Err(Fault::client(format!(
            "a stored value is nested more than {MAX_DEPTH} levels deep and cannot be converted"
        ))
        .into());
    }
    Ok(token)
}

/// A value that has no parts.
fn scalar<'py>(py: Python<'py>, token: Token<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match token {
        Token::Int(number) => PyInt::new(py, number).into_any(),
        Token::Float(number) => PyFloat::new(py, number).into_any(),
        Token::Text(text) | Token::GeoJson(text) => string(py, text)?,
        Token::Blob(bytes) | Token::Opaque(bytes) => PyBytes::new(py, bytes).into_any(),
        Token::Bool(flag) => PyBool::new(py, flag).to_owned().into_any(),
        Token::Nil | Token::Extension | Token::List(_) | Token::Map(..) => py.None().into_bound(py),
    })
}

/// Text that was checked when it arrived.
#[inline]
fn string<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(text) {
        Ok(text) => text_into_python(py, text).map(Bound::into_any),
        Err(_) => Err(Fault::internal("a string in a reply is no UTF-8").into()),
    }
}

fn utf8(name: &[u8]) -> PyResult<&str> {
    std::str::from_utf8(name)
        .map_err(|_| Fault::internal("the name of a bin in a reply is no UTF-8").into())
}
