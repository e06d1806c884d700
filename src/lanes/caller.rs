//! Who calls an operation: thread, asyncio task, event loop and the application's span. Finding out takes calls into
//! Python, so everything that stays the same is kept, and nothing is done unless a trace is wanted.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aerospike_stages::caller::{self, Caller, Parent, Task, Thread};
use aerospike_traces::tap;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::lanes::event_loop::LoopBridge;
use crate::lanes::fork;

/// Where the number of a task is kept: at the task, so that it lives as long.
const TASK_ATTRIBUTE: &str = "_aerospike_py_task";

static NEXT_TASK: AtomicU64 = AtomicU64::new(1);

/// Finds out who calls, where `bridge` is that of the loop whose thread this is. What cannot be found out is left open;
/// a call never fails for it.
pub fn find_caller(py: Python<'_>, bridge: Option<&Arc<LoopBridge>>) -> Box<Caller> {
    let mut found = Box::new(Caller {
        thread: this_thread(py),
        ..Caller::default()
    });
    let Some(known) = KNOWN.get(py) else {
        return found;
    };
    if let Some(bridge) = bridge {
        found.loop_id = Some(bridge.lag().id);
        found.task = current_task(bridge.event_loop().bind(py), known);
    } else if let Some(event_loop) = running_loop(py, known) {
        found.loop_id = LoopBridge::known(&event_loop).map(|bridge| bridge.lag().id);
        found.task = current_task(&event_loop, known);
    }
    found.parent = parent(py, known);
    found.span = tap::begin_span(found.parent.as_ref());
    found
}

thread_local! {
    /// In which generation of forks the thread was looked at.
    static LOOKED_AT: Cell<Option<u64>> = const { Cell::new(None) };
}

fn this_thread(py: Python<'_>) -> Option<Arc<Thread>> {
    let here = Some(fork::generation());
    if LOOKED_AT.get() != here {
        LOOKED_AT.set(here);
        // SAFETY: gettid only returns a number.
        let id = unsafe { libc::gettid() } as u64;
        caller::set_this_thread(Some(Arc::new(Thread {
            id,
            name: thread_name(py).unwrap_or_default(),
        })));
    }
    caller::this_thread()
}

/// `threading.current_thread()` would make up a thread for one that Python has not started.
fn thread_name(py: Python<'_>) -> PyResult<Option<String>> {
    let threading = py.import("threading")?;
    let this: u64 = threading.call_method0("get_ident")?.extract()?;
    for thread in threading.call_method0("enumerate")?.try_iter()? {
        let thread = thread?;
        if thread.getattr("ident")?.extract::<Option<u64>>()? == Some(this) {
            return thread.getattr("name")?.extract();
        }
    }
    Ok(None)
}

/// What is asked for every time. It is looked up before the first call that needs it: a cell that is being filled when
/// another thread forks would stay so in the child.
struct Known {
    get_running_loop: Py<PyAny>,
    current_task: Py<PyAny>,
    /// Where Python keeps the current tasks by loop, as long as asking it is a function in Python.
    current_tasks: Option<Py<PyDict>>,
    modules: Py<PyDict>,
    task_attribute: Py<PyString>,
    trace_module: Py<PyString>,
    get_span_context: Py<PyString>,
}

static KNOWN: PyOnceLock<Known> = PyOnceLock::new();

/// Looks up what finding callers takes.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    let (asyncio, sys) = (py.import("asyncio")?, py.import("sys")?);
    let known = Known {
        get_running_loop: asyncio.getattr("_get_running_loop")?.unbind(),
        current_task: asyncio.getattr("current_task")?.unbind(),
        current_tasks: current_tasks(&asyncio),
        modules: sys.getattr("modules")?.cast_into::<PyDict>()?.unbind(),
        task_attribute: PyString::intern(py, TASK_ATTRIBUTE).unbind(),
        trace_module: PyString::intern(py, "opentelemetry.trace").unbind(),
        get_span_context: PyString::intern(py, "get_span_context").unbind(),
    };
    let _ = KNOWN.set(py, known);
    Ok(())
}

/// Before Python 3.12, [`Known::current_tasks`].
fn current_tasks(asyncio: &Bound<'_, PyModule>) -> Option<Py<PyDict>> {
    if asyncio.py().version_info() >= (3, 12) {
        return None;
    }
    let tasks = asyncio.getattr("tasks").ok()?.getattr("_current_tasks");
    Some(tasks.ok()?.cast_into::<PyDict>().ok()?.unbind())
}

fn running_loop<'py>(py: Python<'py>, known: &Known) -> Option<Bound<'py, PyAny>> {
    let event_loop = known.get_running_loop.bind(py).call0().ok()?;
    (!event_loop.is_none()).then_some(event_loop)
}

/// What a task carries so that it is known again.
#[pyclass(frozen, module = "aerospike_py._aerospike")]
struct TaskMark(Arc<Task>);

fn current_task(event_loop: &Bound<'_, PyAny>, known: &Known) -> Option<Arc<Task>> {
    let py = event_loop.py();
    let task = match &known.current_tasks {
        Some(tasks) => tasks.bind(py).get_item(event_loop).ok()??,
        None => known.current_task.bind(py).call1((event_loop,)).ok()?,
    };
    if task.is_none() {
        return None;
    }
    let name = known.task_attribute.bind(py);
    if let Ok(Some(known)) = task.getattr_opt(name) {
        return Some(known.cast::<TaskMark>().ok()?.get().0.clone());
    }
    let called = task
        .call_method0("get_name")
        .and_then(|name| name.extract());
    let mark = Arc::new(Task {
        id: NEXT_TASK.fetch_add(1, Ordering::Relaxed),
        name: called.ok(),
    });
    // A task that takes no attributes has a number of its own for each of its operations, which would tell nothing.
    task.setattr(name, TaskMark(mark.clone())).ok()?;
    Some(mark)
}

/// A parent that the application names itself, as `traceparent` has it.
#[pyclass(frozen, module = "aerospike_py._aerospike", name = "_TraceParent")]
pub struct TraceParent(Option<Parent>);

static NAMED: AtomicBool = AtomicBool::new(false);
static NAMED_PARENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

#[pymethods]
impl TraceParent {
    #[new]
    fn new(traceparent: Option<&str>) -> PyResult<Self> {
        let Some(traceparent) = traceparent else {
            return Ok(TraceParent(None));
        };
        parse(traceparent)
            .map(|parent| TraceParent(Some(parent)))
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "a traceparent looks like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, not {traceparent:?}"
                ))
            })
    }
}

/// Takes the context variable in which the application names parents; from now on it is looked at.
#[pyfunction]
pub fn _name_trace_parents(py: Python<'_>, variable: Py<PyAny>) {
    let _ = NAMED_PARENT.set(py, variable);
    NAMED.store(true, Ordering::Relaxed);
}

fn parse(traceparent: &str) -> Option<Parent> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed =
        version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    let rest_allowed = version != "00" || parts.next().is_none();
    let is_hex = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    };
    if !well_formed
        || !rest_allowed
        || version == "ff"
        || ![version, trace, span, flags].into_iter().all(is_hex)
    {
        return None;
    }
    let (trace_id, span_id) = (
        u128::from_str_radix(trace, 16).ok()?,
        u64::from_str_radix(span, 16).ok()?,
    );
    (trace_id != 0 && span_id != 0).then_some(Parent {
        trace_id,
        span_id,
        sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        remote: true,
    })
}

fn parent(py: Python<'_>, known: &Known) -> Option<Parent> {
    if NAMED.load(Ordering::Relaxed) {
        if let Some(named) = NAMED_PARENT
            .get(py)
            .and_then(|variable| value_of(variable.bind(py)))
        {
            return named.cast::<TraceParent>().ok()?.get().0;
        }
    }
    match OpenTelemetry::find(py, known)? {
        OpenTelemetry::Direct { context, key } => {
            let context = value_of(context.bind(py))?;
            let span = context
                .cast::<PyDict>()
                .ok()?
                .get_item(key.bind(py))
                .ok()??;
            parent_of(&span, known)
        }
        OpenTelemetry::Public { get_current_span } => {
            parent_of(&get_current_span.bind(py).call0().ok()?, known)
        }
    }
}

/// The value of a context variable in the context of the caller.
fn value_of<'py>(variable: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let mut value = std::ptr::null_mut();
    // SAFETY: both objects are alive; what is returned is a new reference or null.
    unsafe {
        if pyo3::ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &mut value) != 0 {
            drop(PyErr::take(variable.py()));
            return None;
        }
        Bound::from_owned_ptr_or_opt(variable.py(), value)
    }
}

/// How the application's current span is found, once the application has imported OpenTelemetry.
enum OpenTelemetry {
    /// Where the package keeps it.
    Direct { context: Py<PyAny>, key: Py<PyAny> },
    /// By asking the package, which keeps it elsewhere.
    Public { get_current_span: Py<PyAny> },
}

impl OpenTelemetry {
    fn find(py: Python<'_>, known: &Known) -> Option<&'static OpenTelemetry> {
        static FOUND: OnceLock<OpenTelemetry> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Some(found);
        }
        let modules = known.modules.bind(py);
        let trace = modules.get_item(&known.trace_module).ok()??;
        // Half imported: it is there the next time.
        let get_current_span = trace.getattr("get_current_span").ok()?;
        let direct = || -> PyResult<OpenTelemetry> {
            let runtime = py
                .import("opentelemetry.context")?
                .getattr("_RUNTIME_CONTEXT")?;
            let context = runtime.getattr("_current_context")?;
            let kind = py.import("contextvars")?.getattr("ContextVar")?;
            if !context.is_instance(&kind)? {
                return Err(PyValueError::new_err("no context variable"));
            }
            let key = py
                .import("opentelemetry.trace.propagation")?
                .getattr("_SPAN_KEY")?;
            Ok(OpenTelemetry::Direct {
                context: context.unbind(),
                key: key.unbind(),
            })
        };
        let found = direct().unwrap_or_else(|_| OpenTelemetry::Public {
            get_current_span: get_current_span.unbind(),
        });
        Some(FOUND.get_or_init(|| found))
    }
}

fn parent_of(span: &Bound<'_, PyAny>, known: &Known) -> Option<Parent> {
    let py = span.py();
    let context = span.call_method0(known.get_span_context.bind(py)).ok()?;
    // A span context is a tuple of these with properties on top, which are ten times as slow.
    let (trace_id, span_id, remote, flags) = match context.cast::<PyTuple>() {
        Ok(fields) if fields.len() >= 4 => (
            fields.get_item(0).ok()?,
            fields.get_item(1).ok()?,
            fields.get_item(2).ok()?,
            fields.get_item(3).ok()?,
        ),
        _ => (
            context.getattr("trace_id").ok()?,
            context.getattr("span_id").ok()?,
            context.getattr("is_remote").ok()?,
            context.getattr("trace_flags").ok()?,
        ),
    };
    let (trace_id, span_id): (u128, u64) = (trace_id.extract().ok()?, span_id.extract().ok()?);
    (trace_id != 0 && span_id != 0).then_some(Parent {
        trace_id,
        span_id,
        sampled: flags.extract::<u64>().ok()? & 1 == 1,
        remote: remote.is_truthy().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_apart() {
        let parent = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(
            (parent.span_id, parent.sampled),
            (0x00f0_67aa_0ba9_02b7, true)
        );
        let other =
            parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-comes").unwrap();
        assert!(!other.sampled);
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
