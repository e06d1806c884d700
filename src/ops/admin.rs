//! The operations on nodes and sets rather than records.

use aerospike_core::{AdminPolicy, Node};
use futures_util::future::join_all;

use crate::error::{Awaited, Fault};
use crate::ops::request::{InfoRequest, NodeAnswer, Reply, TruncateRequest};
use crate::ops::session::Session;
use crate::ops::shortage;

/// How long a node may take to answer a ping, in milliseconds.
const PING_TIMEOUT_MS: u32 = 1000;

pub(super) async fn truncate(session: &Session, request: TruncateRequest) -> Result<Reply, Fault> {
    let TruncateRequest {
        namespace,
        set,
        before_nanos,
        policy,
    } = request;
    match session
        .client()
        .truncate(&policy, &namespace, &set, before_nanos)
        .await
    {
        Ok(()) => Ok(Reply::Nothing),
        Err(error) => Err(Fault::driver(error).about_namespace(&namespace)),
    }
}

pub(super) async fn info_all(session: &Session, request: InfoRequest) -> Result<Reply, Fault> {
    let InfoRequest { command, policy } = request;
    let nodes = session.client().nodes();
    if nodes.is_empty() {
        return Err(Fault::NoNode);
    }
    let asked = nodes.iter().map(|node| ask(node, &command, &policy));
    Ok(Reply::InfoAll(join_all(asked).await))
}

async fn ask(node: &Node, command: &str, policy: &AdminPolicy) -> NodeAnswer {
    let (code, response) = match node.info(policy, &[command]).await {
        Ok(mut answer) => (0, answer.swap_remove(command).unwrap_or_default()),
        Err(error) => {
            let fault = Fault::driver(error);
            let shortage = matches!(fault.awaited(), Some(Awaited::Connection { .. }))
                .then(|| shortage::of_node(node));
            let fault = fault.knowing_shortage(shortage);
            (fault.code(), fault.to_string())
        }
    };
    NodeAnswer {
        name: node.name().to_owned(),
        code,
        response,
    }
}

pub(super) async fn info_random_node(
    session: &Session,
    request: InfoRequest,
) -> Result<Reply, Fault> {
    let InfoRequest { command, policy } = request;
    let mut answer = session
        .client()
        .info(&policy, &[&command])
        .await
        .map_err(Fault::driver)?;
    Ok(Reply::Text(
        answer.swap_remove(&command).unwrap_or_default(),
    ))
}

pub(super) async fn ping(session: &Session) -> Result<Reply, Fault> {
    let policy = AdminPolicy {
        timeout: PING_TIMEOUT_MS,
    };
    let answered = session.client().info(&policy, &["build"]).await;
    Ok(Reply::Flag(answered.is_ok_and(|answer| !answer.is_empty())))
}
