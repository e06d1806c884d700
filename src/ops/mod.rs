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
    let operation = dispatch(session, request);
    let result = if unbounded {
        tokio::select! {
            biased;
            result = operation => result,
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

async fn dispatch(session: &Session, request: Request) -> Result<Reply, Fault> {
    match request {
        Request::Get(request) | Request::Select(request) => single::get(session, request).await,
        Request::Exists(request) => single::exists(session, request).await,
        Request::Put(request) | Request::RemoveBin(request) => single::put(session, request).await,
        Request::Remove(request) => single::remove(session, request).await,
        Request::Touch(request) => single::touch(session, request).await,
        Request::Append(request) => single::append(session, request).await,
        Request::Prepend(request) => single::prepend(session, request).await,
        Request::Increment(request) => single::increment(session, request).await,
        Request::Operate(request) => single::operate(session, request).await,
        Request::OperateOrdered(request) => single::operate_ordered(session, request).await,
        Request::BatchRead(request) => batch::read(session, *request).await,
        Request::BatchWrite(request) => batch::write(session, *request).await,
        Request::BatchOperate(request) => batch::operate(session, *request).await,
        Request::BatchRemove(request) => batch::remove(session, *request).await,
        Request::Truncate(request) => admin::truncate(session, request).await,
        Request::InfoAll(request) => admin::info_all(session, request).await,
        Request::InfoRandomNode(request) => admin::info_random_node(session, request).await,
        Request::Ping => admin::ping(session).await,
    }
}

#[cfg(test)]
mod tests;
