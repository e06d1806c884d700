//! The state all nodes share, and how one request runs through it. Sockets are in `net`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::exec::batch::BatchRun;
use crate::exec::kind::CommandKind;
use crate::exec::scan::{ScanProgress, ScanRun};
use crate::exec::{self, Command};
use crate::fault::table::FaultTable;
use crate::info;
use crate::options::Options;
use crate::stats::Counters;
use crate::store::Namespace;
use crate::topology::Topology;
use crate::wire::batch::{self, Batch};
use crate::wire::frame::{self, FrameType};
use crate::wire::message::{self, Message};
use crate::wire::reply::{put_last, put_result};
use crate::wire::{code, compress, flags, WireError};

/// Replies of many messages are sent in frames of about this size.
const CHUNK_SIZE: usize = 128 * 1024;

/// One cluster's data, map, faults and nodes.
pub(crate) struct Server {
    pub(crate) options: Options,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) topology: RwLock<Topology>,
    pub(crate) faults: FaultTable,
    pub(crate) nodes: Vec<Node>,
    pub(crate) started: Instant,
}

/// One node's identity and counters.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) counters: Counters,
}

impl Server {
    pub(crate) fn new(options: Options, addresses: &[SocketAddr]) -> Self {
        let nodes = addresses.iter().enumerate().map(|(index, &address)| Node {
            name: format!("BB9{:012X}", 0x0200_0000_0000_u64 + index as u64 + 1),
            address,
            counters: Counters::default(),
        });
        Server {
            namespaces: options
                .namespaces
                .iter()
                .cloned()
                .map(Namespace::new)
                .collect(),
            topology: RwLock::new(Topology::new(addresses.len(), options.replication_factor)),
            faults: FaultTable::new(options.seed, addresses.len()),
            nodes: nodes.collect(),
            started: Instant::now(),
            options,
        }
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces
            .iter()
            .find(|namespace| namespace.name() == name)
    }
}

/// One parsed request.
pub(crate) enum Request<'a> {
    Info(&'a [u8]),
    Admin(&'a [u8]),
    Single(Message<'a>),
    Batch(Message<'a>, Batch<'a>),
    Scan(Message<'a>),
}

impl<'a> Request<'a> {
    /// Parses the body of a frame that is not compressed.
    pub(crate) fn parse(kind: FrameType, body: &'a [u8]) -> Result<Self, WireError> {
        match kind {
            FrameType::Info if info::asks_too_much(body) => {
                Err(WireError::Invalid("number of info requests"))
            }
            FrameType::Info => Ok(Request::Info(body)),
            FrameType::Admin => Ok(Request::Admin(body)),
            FrameType::Message => {
                let message = message::parse(body)?;
                if let Some(rows) = message.fields.batch {
                    let batch = batch::parse(rows)?;
                    return Ok(Request::Batch(message, batch));
                }
                Ok(match CommandKind::of_message(&message) {
                    CommandKind::Scan => Request::Scan(message),
                    _ => Request::Single(message),
                })
            }
            FrameType::Compressed => Err(WireError::Invalid("nested compressed frame")),
        }
    }

    pub(crate) fn kind(&self) -> CommandKind {
        match self {
            Request::Info(_) => CommandKind::Info,
            Request::Admin(_) => CommandKind::Admin,
            Request::Single(message) => CommandKind::of_message(message),
            Request::Batch(_, batch) => CommandKind::of_batch(batch),
            Request::Scan(_) => CommandKind::Scan,
        }
    }

    /// Appends the frame that refuses the request with a result code.
    pub(crate) fn refuse(&self, result: u8, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        let kind = match self {
            Request::Info(body) => {
                info::refuse(body, result, out);
                FrameType::Info
            }
            Request::Admin(body) => {
                put_admin_result(body, result, out);
                FrameType::Admin
            }
            Request::Single(_) => {
                put_result(out, result, 0);
                FrameType::Message
            }
            Request::Batch(..) | Request::Scan(_) => {
                put_last(out, result, 0);
                FrameType::Message
            }
        };
        frame::end(out, start, kind);
    }

    /// Starts the request on a node.
    pub(crate) fn start<'r>(&'r self, server: &'r Server, node: usize) -> Run<'r> {
        let (state, compressed) = match self {
            Request::Info(body) => (RunState::Info(body), false),
            Request::Admin(_) => (RunState::Refused(code::SECURITY_NOT_SUPPORTED), false),
            Request::Single(message) => (RunState::Single(message), wants_compression(message)),
            Request::Batch(message, batch) => {
                let state = match exec::refuse_unsupported(message.fields.asks) {
                    Ok(()) => RunState::Batch(BatchRun::new(batch)),
                    Err(result) => RunState::Refused(result),
                };
                (state, wants_compression(message))
            }
            Request::Scan(message) => {
                let namespace = exec::namespace_of(&server.namespaces, &message.fields);
                let state = match (ScanRun::refusal(message, &server.namespaces), namespace) {
                    (None, Some(namespace)) => {
                        let holdings = server.topology.read().holdings(node);
                        RunState::Scan(namespace, ScanRun::new(message, &holdings))
                    }
                    (refusal, _) => RunState::Refused(refusal.unwrap_or(code::NAMESPACE)),
                };
                (state, wants_compression(message))
            }
        };
        Run {
            server,
            node,
            request: self,
            state,
            compressed,
        }
    }
}

fn wants_compression(message: &Message<'_>) -> bool {
    message.info1 & flags::INFO1_COMPRESS_RESPONSE != 0
}

/// The administration reply of a server without security: a sixteen-byte header with the code and the command.
fn put_admin_result(body: &[u8], result: u8, out: &mut Vec<u8>) {
    let mut reply = [0u8; 16];
    reply[1] = result;
    reply[2] = body.get(2).copied().unwrap_or(0);
    out.extend_from_slice(&reply);
}

/// A request being answered, chunk by chunk.
pub(crate) struct Run<'r> {
    server: &'r Server,
    node: usize,
    request: &'r Request<'r>,
    state: RunState<'r>,
    compressed: bool,
}

enum RunState<'r> {
    Info(&'r [u8]),
    Single(&'r Message<'r>),
    Batch(BatchRun<'r>),
    Scan(&'r Namespace, ScanRun<'r>),
    Refused(u8),
}

/// What follows the chunk just produced.
pub(crate) enum Step {
    Done,
    More { pause: Option<Duration> },
}

impl Run<'_> {
    /// Appends the next frame of the reply.
    pub(crate) fn step(&mut self, out: &mut Vec<u8>) -> Step {
        let namespaces = &self.server.namespaces;
        let start = frame::begin(out);
        let (kind, step) = match &mut self.state {
            RunState::Info(body) => {
                info::respond(self.server, self.node, body, out);
                (FrameType::Info, Step::Done)
            }
            RunState::Single(message) => {
                match Command::of_message(message) {
                    Some(command) => {
                        exec::run(namespaces, &command, out);
                    }
                    None => put_result(out, code::PARAMETER, 0),
                }
                (FrameType::Message, Step::Done)
            }
            RunState::Batch(batch) => {
                let step = match batch.fill(namespaces, out, CHUNK_SIZE) {
                    true => Step::Done,
                    false => Step::More { pause: None },
                };
                (FrameType::Message, step)
            }
            RunState::Scan(namespace, scan) => {
                let step = match scan.fill(namespace, out, CHUNK_SIZE) {
                    ScanProgress::Ended => Step::Done,
                    ScanProgress::Continues { pause } => Step::More { pause },
                };
                (FrameType::Message, step)
            }
            RunState::Refused(result) => {
                out.truncate(start);
                self.request.refuse(*result, out);
                return Step::Done;
            }
        };
        frame::end(out, start, kind);
        if self.compressed && start == 0 {
            compress::deflate(out);
        }
        step
    }
}
