//! Who polls an operation: the calling thread ([`blocking`]), the thread of an event loop, or a
//! runtime thread that leaves the result for the loop ([`asyncio`]). What an operation does is
//! decided elsewhere.

pub mod asyncio;
pub mod awaitable;
pub mod blocking;
pub mod call;
pub mod caller;
pub mod driven;
pub mod event_loop;
pub mod fork;
pub mod notifier;
pub mod outward;
pub mod progress;
pub mod resumption;
pub mod runtime;
pub mod watch;

use aerospike_stages::{End, Origin, Stage};
use pyo3::prelude::*;

use crate::convert::reply::reply_into_python;
use crate::error::Fault;
use crate::lanes::call::Call;
use crate::ops::request::Reply;

/// How an operation's result counts in the records.
pub fn end_of(result: &Result<Reply, Fault>) -> End {
    match result {
        Ok(_) => End::OK,
        Err(fault) => fault.end(),
    }
}

/// Turns a result into Python objects; the record is told that this is what happens. `late` is
/// the record of a call that was over before.
pub fn convert(
    py: Python<'_>,
    result: Result<Reply, Fault>,
    call: Option<&mut Call>,
    late: Option<Origin>,
) -> PyResult<Py<PyAny>> {
    let origin = match call {
        Some(call) => {
            call.enter(Stage::ToDict);
            call.origin()
        }
        None => late,
    };
    match result {
        Ok(reply) => reply_into_python(py, reply, origin),
        Err(fault) => Err(fault.into()),
    }
}
