//! What a batch read returns: the rows as they came from the wire, converted when asked for.
//!
//! No lock is held while Python objects are made: two threads that ask at the same time may both
//! build a view, and both get the one that was finished first.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aerospike_core::{BatchRecord, Value};
use aerospike_stages::{clock, collector, Origin};
use pyo3::exceptions::PyKeyError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};

use crate::convert::kept::BinsIntoPython;
use crate::convert::key::user_key_into_python;
use crate::convert::names::name_into_python;
use crate::convert::numpy::batch_into_numpy;
use crate::convert::record::{batch_record_into_python, batch_records_into_python};
use crate::ops::request::{RowBins, Rows};

/// The records of a batch read, kept as they came from the wire until they are asked for.
#[pyclass(
    module = "aerospike_py",
    name = "LazyBatchRecords",
    frozen,
    mapping,
    weakref
)]
pub struct LazyBatchRecords {
    rows: Rows,
    origin: Option<Origin>,
    views: Mutex<Views>,
}

#[derive(Default)]
struct Views {
    dict: Option<Py<PyDict>>,
    list: Option<Py<PyList>>,
}

/// The user key of a row that is in the dictionary view.
fn viewed(row: &BatchRecord) -> Option<&Value> {
    Rows::found(row)?;
    row.key.user_key()
}

impl LazyBatchRecords {
    /// The rows of a batch, and the recorded operation that read them.
    pub fn new(rows: Rows, origin: Option<Origin>) -> Self {
        LazyBatchRecords {
            rows,
            origin,
            views: Mutex::default(),
        }
    }

    /// Makes Python objects out of rows; what that takes counts for the operation that read them.
    fn materialise<R>(&self, build: impl FnOnce() -> R) -> R {
        let Some(origin) = self.origin else {
            return build();
        };
        let started = clock::now_ns();
        let built = build();
        collector::record_deferred(origin, started, clock::now_ns());
        built
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        // Views are replaced whole, so a panic elsewhere leaves them usable.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the dictionary view.
    fn viewed_rows(&self) -> impl Iterator<Item = (&BatchRecord, RowBins<'_>)> {
        let rows = self.rows.records.iter().enumerate();
        rows.filter(|(_, row)| row.key.user_key().is_some())
            .filter_map(|(place, row)| Some((row, self.rows.bins(place)?)))
    }

    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(dict) = &self.views().dict {
            return Ok(dict.bind(py).clone());
        }
        let built = self.materialise(|| {
            let dict = PyDict::new(py);
            let mut converter = BinsIntoPython::new(py);
            for (row, bins) in self.viewed_rows() {
                dict.set_item(
                    user_key_into_python(py, &row.key)?,
                    converter.convert(bins)?,
                )?;
            }
            PyResult::Ok(dict)
        })?;
        Ok(self
            .views()
            .dict
            .get_or_insert_with(|| built.unbind())
            .bind(py)
            .clone())
    }
}

#[pymethods]
impl LazyBatchRecords {
    /// The number of this batch in recordings; 0 if it was not recorded.
    #[getter]
    fn operation_id(&self) -> u64 {
        self.origin.map_or(0, |origin| origin.id)
    }

    /// All records in request order with their result codes.
    #[getter]
    fn batch_records<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        if let Some(list) = &self.views().list {
            return Ok(list.bind(py).clone());
        }
        let built = self.materialise(|| batch_records_into_python(py, &self.rows))?;
        Ok(self
            .views()
            .list
            .get_or_insert_with(|| built.unbind())
            .bind(py)
            .clone())
    }

    /// Return `{user_key: bins}`, built once and kept.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.dict(py)
    }

    /// Return `{(namespace, set): {user_key: bins}}`, built anew by each call.
    fn by_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.materialise(|| {
            let sets = PyDict::new(py);
            let mut open: Vec<(&str, &str, Bound<'py, PyDict>)> = Vec::new();
            let mut converter = BinsIntoPython::new(py);
            for (number, row) in self.rows.records.iter().enumerate() {
                let (namespace, set) = (row.key.namespace(), row.key.set_name());
                let known = open
                    .iter()
                    .position(|(ns, name, _)| *ns == namespace && *name == set);
                let place = match known {
                    Some(place) => place,
                    None => {
                        let records = PyDict::new(py);
                        let key = (name_into_python(py, namespace), name_into_python(py, set));
                        sets.set_item(key, &records)?;
                        open.push((namespace, set, records));
                        open.len() - 1
                    }
                };
                if row.key.user_key().is_none() {
                    continue;
                }
                if let Some(bins) = self.rows.bins(number) {
                    let records = &open[place].2;
                    let bins = converter.convert(bins)?;
                    records.set_item(user_key_into_python(py, &row.key)?, bins)?;
                }
            }
            Ok(sets)
        })
    }

    /// Return the bins of every key in request order, `None` for those that were not found.
    fn to_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.materialise(|| {
            let mut converter = BinsIntoPython::new(py);
            let items = (0..self.rows.records.len()).map(|place| match self.rows.bins(place) {
                Some(bins) => Ok(converter.convert(bins)?.into_any()),
                None => Ok(py.None().into_bound(py)),
            });
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)
        })
    }

    /// Return the bins as a structured array with one row per key.
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        dtype: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.materialise(|| batch_into_numpy(py, &self.rows, dtype))
    }

    /// Return the `to_dict` of several handles, built in one go.
    #[staticmethod]
    fn merge_to_dict<'py>(
        py: Python<'py>,
        handles: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let dicts = PyList::empty(py);
        for handle in handles.try_iter()? {
            dicts.append(handle?.cast::<LazyBatchRecords>()?.get().dict(py)?)?;
        }
        Ok(dicts)
    }

    /// Iterate over what `batch_records` has, building one record at a time.
    fn iter_records(slf: Bound<'_, Self>) -> BatchRecordIterator {
        BatchRecordIterator {
            handle: slf.unbind(),
            next: AtomicUsize::new(0),
        }
    }

    /// Return the user key of every key of the request, in order.
    fn all_user_keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for row in &self.rows.records {
            list.append(user_key_into_python(py, &row.key)?)?;
        }
        Ok(list)
    }

    /// Return how many records were found.
    fn found_count(&self) -> usize {
        self.rows
            .records
            .iter()
            .filter(|row| Rows::found(row).is_some())
            .count()
    }

    /// Let go of the views that are kept; they are built again when they are needed.
    fn release_cache(&self) {
        let released = std::mem::take(&mut *self.views());
        drop(released);
    }

    /// Return the user keys of the dictionary view.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?
            .call_method0(crate::interned::interned!(py, "keys"))
    }

    /// Return the bins of the dictionary view.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?
            .call_method0(crate::interned::interned!(py, "values"))
    }

    /// Return pairs of user key and bins of the dictionary view.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?
            .call_method0(crate::interned::interned!(py, "items"))
    }

    /// Return the bins of a user key, or `default` if the dictionary view does not have it.
    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bins = self.dict(py)?.get_item(key)?.or(default);
        Ok(bins.unwrap_or_else(|| py.None().into_bound(py)))
    }

    fn __len__(&self) -> usize {
        let keys: HashSet<&Value> = self.rows.records.iter().filter_map(viewed).collect();
        keys.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.dict(py)?.try_iter()
    }

    fn __contains__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.dict(py)?.contains(key)
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.get_item(key)?.ok_or_else(|| match key.repr() {
            Ok(key) => PyKeyError::new_err(format!(
                "{key} is not among the records that were found; batch_records has the result code of every key"
            )),
            Err(error) => error,
        })
    }

    /// Bytes of memory, without those of views and of bins that the driver has decoded.
    fn __sizeof__(&self) -> usize {
        size_of::<Self>() + self.rows.held_bytes()
    }

    fn __repr__(&self) -> String {
        format!(
            "LazyBatchRecords(keys={}, found={})",
            self.rows.records.len(),
            self.found_count()
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Never wait in the collector: whoever holds the lock is about to let go of it.
        if let Ok(views) = self.views.try_lock() {
            visit.call(&views.dict)?;
            visit.call(&views.list)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.release_cache();
    }
}

/// Iterates over the records of a batch.
#[pyclass(module = "aerospike_py", name = "BatchRecordIterator", frozen)]
pub struct BatchRecordIterator {
    handle: Py<LazyBatchRecords>,
    next: AtomicUsize,
}

#[pymethods]
impl BatchRecordIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let handle = self.handle.get();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        if next >= handle.rows.records.len() {
            self.next
                .store(handle.rows.records.len(), Ordering::Relaxed);
            return Ok(None);
        }
        let mut converter = BinsIntoPython::new(py);
        handle.materialise(|| batch_record_into_python(py, &handle.rows, next, &mut converter))
    }

    fn __length_hint__(&self) -> usize {
        self.handle
            .get()
            .rows
            .records
            .len()
            .saturating_sub(self.next.load(Ordering::Relaxed))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.handle)
    }
}
