//! One async function per operation, over the driver. Who polls them is the business of `lanes`,
//! what their arguments and results look like in Python that of `convert`; nothing here knows Python.

pub mod admin;
pub mod backoff;
pub mod batch;
pub mod limiter;
pub mod request;
pub mod session;
pub mod shortage;
pub mod single;

use std::future::Future;
use std::pin::Pin;

use crate::error::Fault;
use crate::ops::request::{Reply, Request};
use crate::ops::session::Session;

/// Carries out a request.
///
/// Closing the session does not cut operations short that have a deadline: they end on their own,
/// and their failures then read as [`Fault::Closed`]. Those without a deadline end at once.
pub async fn execute(session: &Session, request: Request) -> Result<Reply, Fault> {
    if session.is_closed() {
        return Err(Fault::Closed);
    }
    let unbounded = request.is_unbounded();
    let mut operation = dispatch(session, request);
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
            fault
                .knowing_namespaces(session.namespaces())
                .knowing_shortage(shortage)
        }
    })
}

type Operation<'a> = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'a>>;

/// The future of an operation, on the heap: the largest of them is many kilobytes, and held by value
/// it would be copied at every hand-over of every operation, however small.
fn dispatch(session: &Session, request: Request) -> Operation<'_> {
    match request {
        Request::Get(request) | Request::Select(request) => Box::pin(single::get(session, request)),
        Request::Exists(request) => Box::pin(single::exists(session, request)),
        Request::Put(request) | Request::RemoveBin(request) => {
            Box::pin(single::put(session, request))
        }
        Request::Remove(request) => Box::pin(single::remove(session, request)),
        Request::Touch(request) => Box::pin(single::touch(session, request)),
        Request::Append(request) => Box::pin(single::append(session, request)),
        Request::Prepend(request) => Box::pin(single::prepend(session, request)),
        Request::Increment(request) => Box::pin(single::increment(session, request)),
        Request::Operate(request) => Box::pin(single::operate(session, request)),
        Request::OperateOrdered(request) => Box::pin(single::operate_ordered(session, request)),
        Request::BatchRead(request) => Box::pin(batch::read(session, *request)),
        Request::BatchWrite(request) => Box::pin(batch::write(session, *request)),
        Request::BatchOperate(request) => Box::pin(batch::operate(session, *request)),
        Request::BatchRemove(request) => Box::pin(batch::remove(session, *request)),
        Request::Truncate(request) => Box::pin(admin::truncate(session, request)),
        Request::InfoAll(request) => Box::pin(admin::info_all(session, request)),
        Request::InfoRandomNode(request) => Box::pin(admin::info_random_node(session, request)),
        Request::Ping => Box::pin(admin::ping(session)),
    }
}

#[cfg(test)]
mod tests;
