//! The client classes. They differ only in the lane that drives an operation; which operations
//! there are and what their arguments are called is written once, in [`methods`].

mod asynchronous;
mod connecting;
mod methods;
mod ready;
mod state;
mod synchronous;

use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<synchronous::Client>()?;
    module.add_class::<asynchronous::AsyncClient>()?;
    module.add_class::<crate::lanes::awaitable::Operation>()?;
    let wakeup = wrap_pyfunction!(crate::lanes::event_loop::event_loop_wakeup, module)?;
    module.add_function(wakeup)
}
