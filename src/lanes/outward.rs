//! Calls into code of Python's, in the middle of which an interpreter that ends takes the thread away.
//!
//! Before 3.14, a thread that wants the GIL back once the interpreter is being finalised is ended with
//! `pthread_exit`. That unwinds the stack, arrives in Rust as an exception from elsewhere, and aborts the
//! process. So it is stopped where it arrives, right at the call: the thread hangs until the process is gone,
//! as it does from 3.14 on. Whatever else happens, that costs nothing. PyO3 does the same where threads attach.
//!
//! What calls of the C API do not run any bytecode need none of this; they never give the GIL away.

use std::hint::black_box;
use std::mem::{forget, transmute};
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject, PY_VECTORCALL_ARGUMENTS_OFFSET};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

type Call = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    usize,
    *mut PyObject,
) -> *mut PyObject;
type UnwindingCall = unsafe extern "C-unwind" fn(
    *mut PyObject,
    *const *mut PyObject,
    usize,
    *mut PyObject,
) -> *mut PyObject;
type Release = unsafe extern "C" fn(*mut PyObject);
type UnwindingRelease = unsafe extern "C-unwind" fn(*mut PyObject);

/// How many arguments a call has at most.
const MOST: usize = 3;

/// Hangs the thread that unwinds through it.
struct Hang;

impl Drop for Hang {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// `callable(*arguments, **keywords)`.
pub fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    arguments: [&Bound<'py, PyAny>; N],
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    const { assert!(N <= MOST) };
    // The first place is lent to the callee.
    let mut places = [null_mut(); MOST + 1];
    for (place, argument) in places[1..].iter_mut().zip(arguments) {
        *place = argument.as_ptr();
    }
    let keywords = keywords.map_or(null_mut(), Bound::as_ptr);
    let count = N | PY_VECTORCALL_ARGUMENTS_OFFSET;
    let function: Call = ffi::PyObject_VectorcallDict;
    // SAFETY: the interpreter is attached, the callable, the arguments and the keywords are alive, and there is a
    // place before the first argument.
    unsafe {
        let result = guarded(
            function,
            callable.as_ptr(),
            places.as_ptr().add(1),
            count,
            keywords,
        );
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// `receiver.name(*arguments)`; the receiver is the first of `arguments`.
pub fn call_method<'py, const N: usize>(
    name: &Bound<'py, PyString>,
    arguments: [&Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    const { assert!(N > 0) };
    let places = arguments.map(Bound::as_ptr);
    let count = N | PY_VECTORCALL_ARGUMENTS_OFFSET;
    let function: Call = ffi::PyObject_VectorcallMethod;
    // SAFETY: the interpreter is attached, and the name, the receiver and the arguments are alive.
    unsafe {
        let result = guarded(function, name.as_ptr(), places.as_ptr(), count, null_mut());
        Bound::from_owned_ptr_or_err(name.py(), result)
    }
}

/// Drops a reference that may be the last one to something whose end Python code is told of, as with tasks.
pub fn let_go(_py: Python<'_>, object: Py<PyAny>) {
    let function: Release = ffi::Py_DecRef;
    let object = object.into_ptr();
    // SAFETY: the ABIs differ in nothing but that a call may unwind; the interpreter is attached, and the reference
    // is owned. Only plain pointers are alive beside the guard.
    unsafe {
        let function = transmute::<Release, UnwindingRelease>(black_box(function));
        let hang = Hang;
        function(object);
        forget(hang);
    }
}

/// Calls a function that may end the thread.
///
/// # Safety
///
/// The arguments must be what the function wants, and the interpreter must be attached.
#[inline]
unsafe fn guarded(
    function: Call,
    subject: *mut PyObject,
    arguments: *const *mut PyObject,
    count: usize,
    rest: *mut PyObject,
) -> *mut PyObject {
    // The function is declared as one that never unwinds; the optimiser must not recognise it.
    // SAFETY: the ABIs differ in nothing but that; the rest is promised by the caller.
    unsafe {
        let function = transmute::<Call, UnwindingCall>(black_box(function));
        let hang = Hang;
        let result = function(subject, arguments, count, rest);
        forget(hang);
        result
    }
}
