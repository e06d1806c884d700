//! `Client`: every method returns when its operation has ended.

use std::sync::Arc;

use aerospike_stages::{Lane, Operation};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::client::connecting::Plan;
use crate::client::methods::operation_methods;
use crate::client::state::ClientState;
use crate::lanes::blocking;
use crate::lanes::call::Call;
use crate::ops::request::{Reply, Request};

/// The synchronous client.
#[pyclass(subclass, dict, frozen, weakref, module = "aerospike_py._aerospike")]
pub struct Client {
    state: Arc<ClientState>,
}

impl Client {
    #[inline]
    fn call(
        slf: &Bound<'_, Self>,
        operation: Operation,
        request: impl FnOnce() -> PyResult<Request>,
    ) -> PyResult<Py<PyAny>> {
        let mut call = Call::begin(operation, Lane::Sync);
        call.come_from(slf.py());
        let prepared = request().and_then(|request| Ok((slf.get().state.connected()?, request)));
        match prepared {
            Ok((connected, request)) => {
                call.about(&request);
                let runtime = connected.runtime.clone();
                blocking::run(slf.py(), &runtime, || connected.run(request), call)
            }
            Err(error) => call.refuse(slf.py(), error),
        }
    }
}

#[pymethods]
impl Client {
    #[new]
    fn new(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Client {
            state: Arc::new(ClientState::new(config)?),
        })
    }

    #[pyo3(signature = (username=None, password=None))]
    fn connect<'py>(
        slf: Bound<'py, Self>,
        username: Option<String>,
        password: Option<String>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let plan = Plan::new(slf.py(), &slf.get().state, username, password)?;
        let state = slf.get().state.clone();
        let runtime = plan.runtime();
        let call = Call::begin_unstaged(Operation::Connect, Lane::Sync);
        let connecting = async move {
            // A previous session closes by itself once its last operation has ended.
            drop(state.connect(plan.carry_out().await?));
            Ok(Reply::Nothing)
        };
        blocking::run(py, &runtime, || connecting, call)?;
        Ok(slf)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Ok(connected) = self.state.connected() else {
            return Ok(());
        };
        let runtime = connected.runtime.clone();
        let call = Call::begin_unstaged(Operation::Close, Lane::Sync);
        let closing = || ClientState::close(Some(connected));
        blocking::run(py, &runtime, closing, call).map(drop)
    }

    fn ping(slf: &Bound<'_, Self>) -> PyResult<bool> {
        if !slf.get().state.is_connected() {
            return Ok(false);
        }
        Self::call(slf, Operation::Ping, || Ok(Request::Ping))?.extract(slf.py())
    }

    fn is_connected(&self) -> bool {
        self.state.is_connected()
    }

    fn get_node_names(&self) -> PyResult<Vec<String>> {
        Ok(self.state.node_names()?)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.close(py)?;
        Ok(false)
    }
}

operation_methods!(Client);
