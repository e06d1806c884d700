//! A batch as NumPy arrays. NumPy is only imported when somebody asks for them.

use pyo3::exceptions::{PyMemoryError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyString, PyTuple};

use crate::convert::array_layout::{
    fill_codes, fill_metadata, Element, Field, Layout, Misfit, CODE_BYTES, METADATA_BYTES,
};
use crate::convert::key::user_key_into_python;
use crate::convert::text::utf8;
use crate::convert::value_in::type_name;
use crate::ops::request::Rows;

/// Makes a `NumpyBatchRecords`; the arrays are filled detached from the interpreter.
pub fn batch_into_numpy<'py>(
    py: Python<'py>,
    rows: &Rows,
    dtype: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let numpy = py.import("numpy")?;
    let layout = layout_from_dtype(&numpy, dtype)?;
    let records = &rows.records;
    let count = records.len();
    let values = filled(py, count, layout.row_bytes(), dtype, |bytes| {
        layout.fill(rows, bytes)
    })?;
    let metadata = metadata_dtype(&numpy)?;
    let metadata = filled(py, count, METADATA_BYTES, &metadata, |bytes| {
        fill_metadata(rows, bytes)
    })?;
    let codes = numpy.getattr("int32")?;
    let codes = filled(py, count, CODE_BYTES, &codes, |bytes| {
        fill_codes(rows, bytes)
    })?;
    let places = PyDict::new(py);
    for (place, row) in records.iter().enumerate() {
        if row.key.user_key().is_some() {
            places.set_item(user_key_into_python(py, &row.key)?, place)?;
        } else {
            places.set_item(place, place)?;
        }
    }
    let class = py
        .import("aerospike_py.numpy_batch")?
        .getattr("NumpyBatchRecords")?;
    class.call1((values, metadata, codes, places))
}

/// An array of `count` elements over memory that `fill` writes, detached from the interpreter.
fn filled<'py>(
    py: Python<'py>,
    count: usize,
    element_bytes: usize,
    dtype: &Bound<'py, PyAny>,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Misfit> + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let numpy = py.import("numpy")?;
    let bytes = count
        .checked_mul(element_bytes)
        .ok_or_else(|| PyMemoryError::new_err("the array is larger than any memory"))?;
    if bytes == 0 {
        return numpy.call_method1("zeros", (count, dtype));
    }
    let memory = PyByteArray::new_with(py, bytes, |memory| Ok(py.detach(|| fill(memory))?))?;
    numpy.call_method1("frombuffer", (memory, dtype))
}

impl From<Misfit> for PyErr {
    fn from(misfit: Misfit) -> PyErr {
        match misfit {
            Misfit::Type(message) => PyTypeError::new_err(message),
            Misfit::Range(message) => PyOverflowError::new_err(message),
        }
    }
}

fn metadata_dtype<'py>(numpy: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyAny>> {
    numpy.call_method1("dtype", (vec![("gen", "u4"), ("ttl", "u4")],))
}

fn layout_from_dtype(numpy: &Bound<'_, PyModule>, dtype: &Bound<'_, PyAny>) -> PyResult<Layout> {
    if !dtype.is_instance(&numpy.getattr("dtype")?)? {
        return Err(PyTypeError::new_err(format!(
            "dtype must be a structured numpy.dtype, not {}: write numpy.dtype([(\"bin\", \"f8\"), ...])",
            type_name(dtype)
        )));
    }
    let names = dtype.getattr("names")?;
    let Ok(names) = names.cast::<PyTuple>() else {
        return Err(PyTypeError::new_err(format!(
            "dtype must have fields named like bins, as in numpy.dtype([(\"bin\", \"f8\"), ...]); {dtype} has none"
        )));
    };
    let entries = dtype.getattr("fields")?;
    let mut fields = Vec::with_capacity(names.len());
    for name in names.as_slice() {
        let entry = entries.get_item(name)?;
        let name = utf8(name.cast::<PyString>()?, "the name of a dtype field")?;
        fields.push(field_from_dtype(
            name,
            &entry.get_item(0)?,
            entry.get_item(1)?.extract()?,
        )?);
    }
    let row_bytes = dtype.getattr("itemsize")?.extract()?;
    Ok(Layout::new(fields, row_bytes)?)
}

/// The field of a row that has a name, a dtype and an offset.
pub fn field_from_dtype(name: &str, dtype: &Bound<'_, PyAny>, offset: usize) -> PyResult<Field> {
    let base = dtype.getattr("base")?;
    let kind = base.getattr("kind")?;
    let element = match kind.cast::<PyString>()?.to_str()? {
        "i" => Element::Int,
        "u" => Element::Uint,
        "f" => Element::Float,
        "b" => Element::Bool,
        "S" => Element::Bytes,
        "V" if base.getattr("names")?.is_none() => Element::Bytes,
        _ => {
            return Err(PyTypeError::new_err(format!(
                "dtype field {name:?} is {dtype}: only integers, floats, booleans, and bytes of fixed length (S, V) \
                 are supported, and sub-arrays of them"
            )))
        }
    };
    if !base.getattr("isnative")?.extract::<bool>()? {
        return Err(PyTypeError::new_err(format!(
            "dtype field {name:?} is {dtype}, which has a foreign byte order: use dtype.newbyteorder(\"=\")"
        )));
    }
    let bytes: usize = dtype.getattr("itemsize")?.extract()?;
    let (element_bytes, count, is_array) = if element == Element::Bytes {
        // Bytes are filled as a whole, sub-array or not.
        (bytes, 1, false)
    } else {
        let element_bytes: usize = base.getattr("itemsize")?.extract()?;
        let count = bytes.checked_div(element_bytes).unwrap_or(0);
        (element_bytes, count, !dtype.getattr("subdtype")?.is_none())
    };
    Ok(Field {
        name: name.to_owned(),
        offset,
        element_bytes,
        count,
        is_array,
        element,
    })
}
