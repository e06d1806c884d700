//! Between Python and Rust: arguments into requests, replies into Python objects. Whatever is wrong
//! with an argument is said here, before anything is sent. Nothing here talks to a server.

pub mod arguments;
pub mod array_layout;
pub mod array_rows;
pub mod batch;
pub mod bins;
pub mod client_config;
pub mod digest;
mod digest_rounds;
pub mod entries;
pub mod half;
pub mod kept;
pub mod key;
pub mod lazy_batch;
pub mod names;
pub mod numpy;
pub mod numpy_write;
pub mod operations;
pub mod options;
pub mod policies;
pub mod record;
pub mod reply;
pub mod result_types;
mod shapes;
pub mod text;
pub mod value_in;
pub mod value_out;

use pyo3::prelude::*;

/// Adds the classes of results to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<lazy_batch::LazyBatchRecords>()?;
    module.add_class::<lazy_batch::BatchRecordIterator>()?;
    pyo3::types::PyMapping::register::<lazy_batch::LazyBatchRecords>(module.py())
}
