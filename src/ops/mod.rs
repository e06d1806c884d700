//! One async function per operation, over the driver. Who polls them is the business of `lanes`,
//! what their arguments and results look like in Python that of `convert`; nothing here knows Python.

pub mod about;
pub mod admin;
pub mod backoff;
pub mod batch;
pub mod gathered;
pub mod gauges;
pub mod limiter;
pub mod request;
pub mod row_failures;
pub mod session;
pub mod shortage;
pub mod single;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aerospike_rt::limit::limit;

use aerospike_rt::direct::Sequential;

use crate::error::{Awaited, Fault, Shortage};
use crate::ops::request::{Reply, Request};
use crate::ops::session::Session;

/// Pins a future on the heap, where it is made: many kilobytes of it are space for what it will do,
/// which `Box::pin` would copy from the stack.
macro_rules! on_the_heap {
    ($future:expr) => {{
        let made = Box::write(Box::new_uninit(), $future);
        Box::into_pin(made)
    }};
}
pub(crate) use on_the_heap;

/// An operation that has not begun.
pub struct Prepared {
    operation: Operation,
    /// It ends only when the server answers, so closing the session has to end it.
    unbounded: bool,
    /// It waits for one thing at a time.
    sequential: bool,
}

type Operation = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// Makes a request's operation, which is on the heap from the start: the largest of them is many
/// kilobytes, and held by value it would be copied at every hand-over of every operation.
pub fn prepare(session: &Arc<Session>, request: Request) -> Prepared {
    let total_timeout = request.total_timeout();
    let total = total_timeout
        .filter(|limit| *limit > 0)
        .map(|limit| Duration::from_millis(u64::from(limit)));
    macro_rules! operation {
        ($function:path) => {{
            let session = session.clone();
            on_the_heap!(async move { $function(&session).await })
        }};
        ($function:path, $request:expr) => {{
            let (session, request) = (session.clone(), $request);
            on_the_heap!(limit(
                async move { $function(&session, request).await },
                total
            ))
        }};
    }
    Prepared {
        unbounded: total_timeout == Some(0),
        sequential: request.is_single(),
        operation: match request {
            Request::Get(request) | Request::Select(request) => operation!(single::get, request),
            Request::Exists(request) => operation!(single::exists, request),
            Request::Put(request) | Request::RemoveBin(request) => {
                operation!(single::put, request)
            }
            Request::Remove(request) => operation!(single::remove, request),
            Request::Touch(request) => operation!(single::touch, request),
            Request::Append(request) => operation!(single::append, request),
            Request::Prepend(request) => operation!(single::prepend, request),
            Request::Increment(request) => operation!(single::increment, request),
            Request::Operate(request) => operation!(single::operate, request),
            Request::OperateOrdered(request) => operation!(single::operate_ordered, request),
            Request::BatchRead(request) => operation!(batch::read, *request),
            Request::BatchWrite(request) => operation!(batch::write, *request),
            Request::BatchOperate(request) => operation!(batch::operate, *request),
            Request::BatchRemove(request) => operation!(batch::remove, *request),
            Request::Truncate(request) => operation!(admin::truncate, request),
            Request::InfoAll(request) => operation!(admin::info_all, request),
            Request::InfoRandomNode(request) => operation!(admin::info_random_node, request),
            Request::Ping => operation!(admin::ping),
        },
    }
}

/// Carries out what was prepared for the session.
///
/// Closing the session does not cut operations short that have a deadline: they end on their own,
/// and their failures then read as [`Fault::Closed`]. Those without a deadline end at once.
pub async fn carry_out(session: &Session, prepared: Prepared) -> Result<Reply, Fault> {
    if session.is_closed() {
        return Err(Fault::Closed);
    }
    let Prepared {
        operation,
        unbounded,
        sequential,
    } = prepared;
    let mut operation = Sequential::new(operation, sequential);
    let result = if unbounded {
        tokio::select! {
            biased;
            result = &mut operation => result,
            () = session.closing() => Err(Fault::Closed),
        }
    } else {
        operation.await
    };
    result.map_err(|fault| {
        if session.is_closed() {
            Fault::Closed
        } else {
            let shortage = shortage::explain(session, &fault);
            let awaited_connection = matches!(fault.awaited(), Some(Awaited::Connection { .. }));
            if awaited_connection || matches!(shortage, Some(Shortage::Exhausted { .. })) {
                gauges::note_connection_timeout();
            }
            fault
                .knowing_namespaces(session.namespaces())
                .knowing_shortage(shortage)
        }
    })
}

#[cfg(test)]
mod tests;
