//! Structured NumPy arrays as the records of a batch write. What the fields of a row become is the
//! business of `array_rows`; NumPy is only imported when somebody passes an array.

use aerospike_core::BatchWritePolicy;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::convert::array_rows::RowReader;
use crate::convert::bins::checked_name;
use crate::convert::key::KeyTemplate;
use crate::convert::numpy::field_from_dtype;
use crate::convert::text::utf8;
use crate::convert::value_in::type_name;
use crate::exceptions::invalid_argument;
use crate::ops::request::WriteRow;

/// Fields with such names are no bins.
const HIDDEN: char = '_';
/// Letting go of the interpreter may cost a wait for it, which few bytes are not worth.
const DETACH_BYTES: usize = 16 * 1024;

/// The rows of an array as records with keys of one set.
pub fn rows_from_array(
    data: &Bound<'_, PyAny>,
    dtype: &Bound<'_, PyAny>,
    key_field: &str,
    template: &KeyTemplate,
    policy: &BatchWritePolicy,
) -> PyResult<Vec<WriteRow>> {
    let py = data.py();
    let numpy = py.import("numpy")?;
    let array_type = numpy.getattr("ndarray")?;
    if !data.is_instance(&array_type)? {
        return Err(PyTypeError::new_err(format!(
            "data must be a structured numpy.ndarray, not {}",
            type_name(data)
        )));
    }
    let reader = reader_from_dtype(&numpy, dtype, key_field)?;
    let dimensions: usize = data.getattr("ndim")?.extract()?;
    if dimensions != 1 {
        return Err(invalid_argument(format!(
            "data must have one dimension, not {dimensions}: pass data.ravel()"
        )));
    }
    let own_dtype = data.getattr("dtype")?;
    let row_bytes: usize = dtype.getattr("itemsize")?.extract()?;
    if own_dtype.getattr("itemsize")?.extract::<usize>()? != row_bytes {
        return Err(invalid_argument(format!(
            "_dtype must describe the rows of data: data.dtype is {own_dtype}, _dtype is {dtype}"
        )));
    }
    if own_dtype.getattr("hasobject")?.extract()? {
        return Err(PyTypeError::new_err(format!(
            "data.dtype is {own_dtype}: arrays of Python objects cannot be written, use batch_write"
        )));
    }
    // Untyped, because the layout is known and buffers cannot describe every kind of field.
    let untyped = numpy.call_method1("dtype", (format!("V{row_bytes}"),))?;
    let rows = array_type.call_method1("view", (data, untyped))?;
    let bytes = copy_of(&rows, row_bytes)?;
    if bytes.len() < DETACH_BYTES {
        return Ok(reader.read(template, policy, &bytes)?);
    }
    Ok(py.detach(|| reader.read(template, policy, &bytes))?)
}

/// The rows as they are now, one behind the other: another thread may change them at any time.
fn copy_of(rows: &Bound<'_, PyAny>, row_bytes: usize) -> PyResult<Vec<u8>> {
    let buffer = PyUntypedBuffer::get(rows)?;
    let (&[count], &[stride]) = (buffer.shape(), buffer.strides()) else {
        return Err(invalid_argument("data must have one dimension"));
    };
    let size = count.checked_mul(row_bytes);
    let mut bytes = Vec::new();
    size.and_then(|size| bytes.try_reserve_exact(size).ok().map(|()| size))
        .ok_or_else(|| PyMemoryError::new_err("data is larger than the memory that is left"))?;
    let mut row = buffer.buf_ptr().cast::<u8>().cast_const();
    let mut end = bytes.as_mut_ptr();
    for _ in 0..count {
        // SAFETY: while the buffer is held, every row is `row_bytes` of live memory, `stride` behind the
        // one before. There is room for `count` rows behind `bytes`, and nobody else knows that memory.
        unsafe {
            row.copy_to_nonoverlapping(end, row_bytes);
            end = end.add(row_bytes);
            row = row.wrapping_offset(stride);
        }
    }
    // SAFETY: all rows have been copied.
    unsafe { bytes.set_len(count * row_bytes) };
    Ok(bytes)
}

fn reader_from_dtype(
    numpy: &Bound<'_, PyModule>,
    dtype: &Bound<'_, PyAny>,
    key_field: &str,
) -> PyResult<RowReader> {
    if !dtype.is_instance(&numpy.getattr("dtype")?)? {
        return Err(PyTypeError::new_err(format!(
            "_dtype must be a structured numpy.dtype, not {}: pass data.dtype",
            type_name(dtype)
        )));
    }
    let names = dtype.getattr("names")?;
    let Ok(names) = names.cast::<PyTuple>() else {
        return Err(PyTypeError::new_err(format!(
            "_dtype must have fields, one for the user key and one per bin; {dtype} has none"
        )));
    };
    let fields = dtype.getattr("fields")?;
    let mut key = None;
    let mut bins = Vec::with_capacity(names.len());
    for name in names.as_slice() {
        let text = utf8(name.cast::<PyString>()?, "the name of a dtype field")?;
        let is_key = text == key_field;
        if text.starts_with(HIDDEN) && !is_key {
            continue;
        }
        let entry = fields.get_item(name)?;
        let field_dtype = entry.get_item(0)?;
        if !field_dtype
            .getattr("base")?
            .getattr("isnative")?
            .extract::<bool>()?
        {
            return Err(invalid_argument(format!(
                "dtype field {text:?} is {field_dtype}, which has a foreign byte order: \
                 use data.astype(data.dtype.newbyteorder(\"=\"))"
            )));
        }
        let field = field_from_dtype(text, &field_dtype, entry.get_item(1)?.extract()?)?;
        if is_key {
            key = Some(field);
        } else {
            checked_name(text)?;
            bins.push(field);
        }
    }
    let Some(key) = key else {
        return Err(invalid_argument(format!(
            "_dtype must have a field {key_field:?} with the user keys; name another one with key_field"
        )));
    };
    if bins.is_empty() {
        return Err(invalid_argument(format!(
            "_dtype must have a field per bin to write beside {key_field:?}; names that start with {HIDDEN:?} are left out"
        )));
    }
    Ok(RowReader::new(
        key,
        bins,
        dtype.getattr("itemsize")?.extract()?,
    )?)
}
