//! What a callback or coroutine is called: `module:qualname (file:line)`, with the line of its definition.
//! A name is made only for what was slow.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyAny;

/// Longer names are cut.
const LONGEST: usize = 240;
/// Wrappers around wrappers, awaits behind awaits, frames on a stack: looked through no deeper.
const DEEPEST: usize = 200;
/// What has no name.
pub const UNKNOWN: &str = "(unknown)";
/// Code flags of coroutines and asynchronous generators.
const IS_COROUTINE: u32 = 0x80 | 0x200;

/// What ran on a loop's thread when it was looked at.
pub struct Seen {
    /// The innermost coroutine, or the callback itself.
    pub name: Arc<str>,
    /// The innermost frame.
    pub at: Arc<str>,
}

/// The name of what a loop's handle has run; asyncio takes the callback away from one that is cancelled.
pub fn of_handle(handle: &Bound<'_, PyAny>) -> Arc<str> {
    match attribute(handle, "_callback").filter(|callback| !callback.is_none()) {
        Some(callback) => of_callback(&callback),
        None => "(cancelled)".into(),
    }
}

/// The name of a callback.
pub fn of_callback(callback: &Bound<'_, PyAny>) -> Arc<str> {
    let name = callback_name(callback, 0).unwrap_or_else(|_| UNKNOWN.to_owned());
    cut(name).into()
}

fn callback_name(callback: &Bound<'_, PyAny>, depth: usize) -> PyResult<String> {
    let py = callback.py();
    if depth > DEEPEST {
        return Ok(UNKNOWN.to_owned());
    }
    if callback.get_type().name()? == "partial" {
        return callback_name(
            &callback.getattr(crate::interned::interned!(py, "func"))?,
            depth + 1,
        );
    }
    if let Some(owner) = attribute(callback, "__self__") {
        if owner.hasattr(crate::interned::interned!(py, "get_coro"))? {
            return of_task(&owner);
        }
    }
    if let Some(function) = attribute(callback, "__func__") {
        return callback_name(&function, depth + 1);
    }
    if let Some(code) = attribute(callback, "__code__") {
        let module = attribute(callback, "__module__").and_then(|module| module.extract().ok());
        let name = attribute(callback, "__qualname__").and_then(|name| name.extract().ok());
        return of_code(&code, module, name);
    }
    let named = match callback.hasattr(crate::interned::interned!(py, "__qualname__"))? {
        true => callback.clone(),
        false => callback.get_type().into_any(),
    };
    let module = attribute(&named, "__module__").and_then(|module| module.extract::<String>().ok());
    let name: String = named
        .getattr(crate::interned::interned!(py, "__qualname__"))?
        .extract()?;
    Ok(match module {
        Some(module) => format!("{module}:{name}"),
        None => name,
    })
}

/// The innermost coroutine that a task is suspended in, leaving out those of asyncio itself; of a task
/// that has ended, its own.
fn of_task(task: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = task.py();
    let mut next = task.call_method0(crate::interned::interned!(py, "get_coro"))?;
    let mut best = None;
    for _ in 0..DEEPEST {
        let Some(code) = attribute(&next, "cr_code").or_else(|| attribute(&next, "ag_code")) else {
            break;
        };
        if best.is_none() || !is_machinery(&code) {
            best = Some((next.clone(), code));
        }
        let Some(awaited) = attribute(&next, "cr_await").or_else(|| attribute(&next, "ag_await"))
        else {
            break;
        };
        next = awaited;
    }
    match best {
        Some((coroutine, code)) => {
            let frame = attribute(&coroutine, "cr_frame").filter(|frame| !frame.is_none());
            let name = attribute(&coroutine, "__qualname__").and_then(|name| name.extract().ok());
            of_code(&code, frame.and_then(|frame| module_of(&frame)), name)
        }
        None => task
            .call_method0(crate::interned::interned!(py, "get_name"))?
            .extract(),
    }
}

/// What a stack shows, from its innermost frame to where the event loop called; `None` if the loop is
/// running nothing.
pub fn of_stack(innermost: Bound<'_, PyAny>, base: usize) -> Option<Seen> {
    let mut frame = Some(innermost);
    let (mut at, mut coroutine, mut outermost) = (None, None, None);
    for _ in 0..DEEPEST {
        let Some(here) = frame.filter(|frame| frame.as_ptr() as usize != base) else {
            break;
        };
        let code = attribute(&here, "f_code")?;
        if is_dispatcher(&code) {
            break;
        }
        if !is_machinery(&code) {
            let flags = attribute(&code, "co_flags")?.extract::<u32>().ok()?;
            if coroutine.is_none() && flags & IS_COROUTINE != 0 {
                coroutine = Some(here.clone());
            }
            outermost = Some(here.clone());
            if at.is_none() {
                at = Some(here.clone());
            }
        }
        frame = attribute(&here, "f_back").filter(|back| !back.is_none());
    }
    let named = coroutine.or(outermost)?;
    let name = of_code(&attribute(&named, "f_code")?, module_of(&named), None).ok()?;
    Some(Seen {
        name: cut(name).into(),
        at: cut(place_of(&at?)?).into(),
    })
}

/// `qualname (file:line)`, with the line that is being run.
fn place_of(frame: &Bound<'_, PyAny>) -> Option<String> {
    let code = attribute(frame, "f_code")?;
    let line = attribute(frame, "f_lineno")?.extract::<u32>().unwrap_or(0);
    Some(format!(
        "{} ({}:{line})",
        qualified(&code)?,
        file_of(&code)?
    ))
}

fn of_code(
    code: &Bound<'_, PyAny>,
    module: Option<String>,
    name: Option<String>,
) -> PyResult<String> {
    let file = file_of(code).unwrap_or_default();
    let line: u32 = code
        .getattr(crate::interned::interned!(code.py(), "co_firstlineno"))?
        .extract()?;
    let name = name.or_else(|| qualified(code)).unwrap_or_default();
    let stem = || file.trim_end_matches(".py").to_owned();
    Ok(format!(
        "{}:{name} ({file}:{line})",
        module.unwrap_or_else(stem)
    ))
}

fn qualified(code: &Bound<'_, PyAny>) -> Option<String> {
    let name = attribute(code, "co_qualname").or_else(|| attribute(code, "co_name"))?;
    name.extract().ok()
}

fn file_of(code: &Bound<'_, PyAny>) -> Option<String> {
    let path: String = attribute(code, "co_filename")?.extract().ok()?;
    Some(
        path.rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned(),
    )
}

fn module_of(frame: &Bound<'_, PyAny>) -> Option<String> {
    attribute(frame, "f_globals")?
        .get_item("__name__")
        .ok()?
        .extract()
        .ok()
}

/// Whether code is asyncio's own, which nobody is interested in.
fn is_machinery(code: &Bound<'_, PyAny>) -> bool {
    path_of(code).is_some_and(|path| path.contains("/asyncio/") || path.contains("/uvloop/"))
}

/// Whether code is the place from which an event loop calls everything else.
fn is_dispatcher(code: &Bound<'_, PyAny>) -> bool {
    const FILES: [&str; 3] = [
        "/asyncio/events.py",
        "/asyncio/base_events.py",
        "/asyncio/runners.py",
    ];
    const FUNCTIONS: [&str; 5] = [
        "_run",
        "_run_once",
        "run",
        "run_forever",
        "run_until_complete",
    ];
    let name = attribute(code, "co_name").and_then(|name| name.extract::<String>().ok());
    let calls = name.is_some_and(|name| FUNCTIONS.contains(&name.as_str()));
    calls
        && path_of(code).is_some_and(|path| {
            FILES.iter().any(|file| path.ends_with(file)) || path.contains("/uvloop/")
        })
}

fn path_of(code: &Bound<'_, PyAny>) -> Option<String> {
    attribute(code, "co_filename")?.extract().ok()
}

fn attribute<'py>(object: &Bound<'py, PyAny>, name: &str) -> Option<Bound<'py, PyAny>> {
    object.getattr_opt(name).ok().flatten()
}

fn cut(mut name: String) -> String {
    if name.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
    }
    name
}
