//! `AsyncClient`: every method starts its operation and returns an awaitable for the result.

use std::sync::Arc;

use aerospike_stages::{Lane, Operation};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::client::connecting::Plan;
use crate::client::methods::operation_methods;
use crate::client::ready::Ready;
use crate::client::state::ClientState;
use crate::lanes::asyncio::{self, Driver};
use crate::lanes::call::Call;
use crate::lanes::runtime;
use crate::ops::request::{Reply, Request};

/// The asynchronous client.
#[pyclass(subclass, dict, frozen, weakref, module = "aerospike_py._aerospike")]
pub struct AsyncClient {
    state: Arc<ClientState>,
}

impl AsyncClient {
    #[inline]
    fn call(
        slf: &Bound<'_, Self>,
        operation: Operation,
        request: impl FnOnce() -> PyResult<Request>,
    ) -> PyResult<Py<PyAny>> {
        let mut call = Call::begin(operation, Lane::Asyncio);
        call.come_from(slf.py());
        let prepared = request().and_then(|request| Ok((slf.get().state.connected()?, request)));
        match prepared {
            Ok((connected, request)) => {
                call.about(&request);
                let lane = (driver_of(&request), connected.runtime.clone());
                let operation = connected.run(request);
                Ok(asyncio::start(slf.py(), lane, operation, call, None)?.into_any())
            }
            Err(error) => call.refuse(slf.py(), error),
        }
    }
}

/// Replies about one record are quick to decode. What asks several nodes waits for tasks of the
/// runtime anyway, and a batch would keep the loop's thread busy for as long as it is decoded.
fn driver_of(request: &Request) -> Driver {
    if request.is_single() {
        Driver::Loop
    } else {
        Driver::Runtime
    }
}

#[pymethods]
impl AsyncClient {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(AsyncClient {
            state: Arc::new(ClientState::new(config)?),
        })
    }

    #[pyo3(signature = (username=None, password=None))]
    fn connect(
        slf: &Bound<'_, Self>,
        username: Option<String>,
        password: Option<String>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let plan = Plan::new(slf.py(), &slf.get().state, username, password)?;
        let state = slf.get().state.clone();
        let runtime = plan.runtime();
        let call = Call::begin_unstaged(Operation::Connect, Lane::Asyncio);
        let connecting = async move {
            // A previous session closes by itself once its last operation has ended.
            drop(state.connect(plan.carry_out().await?));
            Ok(Reply::Nothing)
        };
        let yields = Some(slf.clone().into_any().unbind());
        Ok(asyncio::start(py, (Driver::Runtime, runtime), connecting, call, yields)?.into_any())
    }

    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let connected = self.state.connected().ok();
        let call = Call::begin_unstaged(Operation::Close, Lane::Asyncio);
        Ok(asyncio::start(
            py,
            (Driver::Runtime, runtime::handle()?),
            ClientState::close(connected),
            call,
            None,
        )?
        .into_any())
    }

    fn ping(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        if slf.get().state.is_connected() {
            return Self::call(slf, Operation::Ping, || Ok(Request::Ping));
        }
        let call = Call::begin_unstaged(Operation::Ping, Lane::Asyncio);
        let refused = async { Ok(Reply::Flag(false)) };
        Ok(asyncio::start(
            slf.py(),
            (Driver::Runtime, runtime::handle()?),
            refused,
            call,
            None,
        )?
        .into_any())
    }

    fn is_connected(&self) -> bool {
        self.state.is_connected()
    }

    fn get_node_names(&self) -> PyResult<Vec<String>> {
        Ok(self.state.node_names()?)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Ready {
        Ready::new(slf.into_any().unbind())
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.close(py)
    }
}

operation_methods!(AsyncClient);
