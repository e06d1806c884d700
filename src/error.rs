//! The one error type that operations end with, and what it means: which class of failure, which
//! code, in doubt or not, and a message that says what to check. Nothing here knows Python;
//! `exceptions` turns the verdict into an exception.

mod codes;
mod message;

use aerospike_core::{ErrorKind, Key, ResultCode};
use aerospike_stages::{End, Outcome};

use codes::{classify, decisive};
pub use codes::{failure_class, failure_code, failure_in_doubt, is_retryable};
use message::describe;

/// The code of failures that no server answered.
pub const NO_SERVER_CODE: i32 = -1;
/// The server's code for time-outs, which batch rows have for those of the client as well.
pub const TIMEOUT_CODE: i32 = 9;

/// Why an operation has no result.
#[derive(Debug)]
pub enum Fault {
    /// The driver failed, or the server answered with an error code.
    Driver {
        /// What the driver says.
        error: aerospike_core::Error,
        /// What the operation was about.
        about: Option<Box<About>>,
    },
    /// None of the seed hosts could be used.
    Connect {
        /// The hosts that were tried, as `host:port`.
        hosts: Vec<String>,
        /// What the driver says.
        error: aerospike_core::Error,
    },
    /// The client has not been connected yet.
    NotConnected,
    /// No node is known to be up.
    NoNode,
    /// The client has been closed.
    Closed,
    /// There was no record to remove.
    NotFound {
        /// Which one.
        record: String,
    },
    /// Too many operations were in flight for too long.
    Backpressure {
        /// How many may be in flight.
        limit: usize,
        /// How long this one waited.
        waited_ms: u64,
    },
    /// An argument cannot be used.
    Argument(String),
    /// The client cannot do it in its present state.
    Client(String),
    /// The caller stopped waiting.
    Cancelled,
    /// Native code panicked.
    Panicked(String),
    /// Something that should not happen did.
    Internal(String),
}

/// What a driver error was about, for its message.
#[derive(Debug, Default)]
pub struct About {
    record: Option<String>,
    namespace: String,
    known_namespaces: Vec<String>,
    shortage: Option<Shortage>,
}

/// Why a node had no connection for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// All that the configuration allows are taken.
    Exhausted {
        /// The node.
        node: String,
        /// `max_conns_per_node`
        limit: usize,
    },
    /// None could be opened.
    Unreachable {
        /// The node.
        node: String,
    },
    /// Perhaps none could be opened: the node does not tell its state either.
    Silent {
        /// The node.
        node: String,
    },
}

/// What an operation has waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited<'a> {
    /// A connection.
    Connection {
        /// To which node, if the driver says so.
        node: Option<&'a str>,
    },
    /// A connection or a reply, of this node or that.
    Anything,
}

/// Which exception a fault becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Configuration, state of the client, or a reply that makes no sense.
    Client,
    /// Too many operations in flight.
    Backpressure,
    /// A bug in native code.
    Panic,
    /// An argument that cannot be used.
    InvalidArgument,
    /// Nodes cannot be reached.
    Cluster,
    /// A deadline passed.
    Timeout,
    /// Code 2.
    RecordNotFound,
    /// Code 3.
    RecordGeneration,
    /// Code 5.
    RecordExists,
    /// Code 6.
    BinExists,
    /// Code 12.
    BinType,
    /// Code 13.
    RecordTooBig,
    /// Code 17.
    BinNotFound,
    /// Code 21.
    BinName,
    /// Code 27.
    FilteredOut,
    /// Another code about one record.
    Record,
    /// Code 200.
    IndexFound,
    /// Code 201.
    IndexNotFound,
    /// Another code about indexes.
    Index,
    /// Codes 15 and 210.
    QueryAborted,
    /// Another code about queries.
    Query,
    /// Codes of authentication and authorisation.
    Admin,
    /// Code 100.
    Udf,
    /// Every other code.
    Server,
}

impl Kind {
    /// The name of the exception.
    pub const fn exception(self) -> &'static str {
        match self {
            Kind::Client => "ClientError",
            Kind::Backpressure => "BackpressureError",
            Kind::Panic => "RustPanicError",
            Kind::InvalidArgument => "InvalidArgError",
            Kind::Cluster => "ClusterError",
            Kind::Timeout => "AerospikeTimeoutError",
            Kind::RecordNotFound => "RecordNotFound",
            Kind::RecordGeneration => "RecordGenerationError",
            Kind::RecordExists => "RecordExistsError",
            Kind::BinExists => "BinExistsError",
            Kind::BinType => "BinTypeError",
            Kind::RecordTooBig => "RecordTooBig",
            Kind::BinNotFound => "BinNotFound",
            Kind::BinName => "BinNameError",
            Kind::FilteredOut => "FilteredOut",
            Kind::Record => "RecordError",
            Kind::IndexFound => "IndexFoundError",
            Kind::IndexNotFound => "IndexNotFound",
            Kind::Index => "AerospikeIndexError",
            Kind::QueryAborted => "QueryAbortedError",
            Kind::Query => "QueryError",
            Kind::Admin => "AdminError",
            Kind::Udf => "UDFError",
            Kind::Server => "ServerError",
        }
    }
}

/// A fault, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which exception.
    pub kind: Kind,
    /// The server's code, or [`NO_SERVER_CODE`].
    pub code: i32,
    /// Whether a write may have been applied all the same.
    pub in_doubt: bool,
    /// What happened and what to check.
    pub message: String,
}

impl Fault {
    /// A driver error that is not about one record.
    pub fn driver(error: aerospike_core::Error) -> Self {
        Fault::Driver { error, about: None }
    }

    /// An argument that cannot be used.
    pub fn argument(message: impl Into<String>) -> Self {
        Fault::Argument(message.into())
    }

    /// Something the client cannot do in its present state.
    pub fn client(message: impl Into<String>) -> Self {
        Fault::Client(message.into())
    }

    /// Something that should not happen.
    pub fn internal(message: impl Into<String>) -> Self {
        Fault::Internal(message.into())
    }

    /// There was no record to remove; the driver does not count that as an error.
    pub fn not_found(key: &Key) -> Self {
        Fault::NotFound {
            record: describe(key),
        }
    }

    /// Names the record that the operation was about.
    #[must_use]
    pub fn about(mut self, key: &Key) -> Self {
        if let Fault::Driver { about, .. } = &mut self {
            let about = about.get_or_insert_default();
            about.record = Some(describe(key));
            about.namespace = key.namespace().to_owned();
        }
        self
    }

    /// Names the namespace that the operation was about.
    #[must_use]
    pub fn about_namespace(mut self, namespace: &str) -> Self {
        if let Fault::Driver { about, .. } = &mut self {
            about.get_or_insert_default().namespace = namespace.to_owned();
        }
        self
    }

    /// Says which namespaces there are, if the fault is that there is no such namespace.
    #[must_use]
    pub fn knowing_namespaces(mut self, known: &[String]) -> Self {
        if let Fault::Driver { error, about } = &mut self {
            if classify(error).1 == i32::from(u8::from(ResultCode::InvalidNamespace)) {
                about.get_or_insert_default().known_namespaces = known.to_vec();
            }
        }
        self
    }

    /// What the operation was waiting for, if it waited in vain and the driver does not say why.
    pub fn awaited(&self) -> Option<Awaited<'_>> {
        let Fault::Driver { error, .. } = self else {
            return None;
        };
        if matches!(decisive(error).kind(), ErrorKind::ConnectionPoolEmpty) {
            return Some(Awaited::Connection { node: error.node() });
        }
        if classify(error) != (Kind::Timeout, NO_SERVER_CODE) || error.cause().is_some() {
            return None;
        }
        match (error.node(), error.iteration()) {
            // The driver does not count waiting for a connection as an attempt that failed, so a
            // time-out of its retry loop without a cause can be nothing else.
            (node @ Some(_), Some(_)) => Some(Awaited::Connection { node }),
            (Some(_), None) => None,
            (None, _) => Some(Awaited::Anything),
        }
    }

    /// Says why there was no connection, if that is known.
    #[must_use]
    pub fn knowing_shortage(mut self, shortage: Option<Shortage>) -> Self {
        if let (Fault::Driver { about, .. }, Some(shortage)) = (&mut self, shortage) {
            about.get_or_insert_default().shortage = Some(shortage);
        }
        self
    }

    /// Which exception this becomes.
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Driver { error, .. } => classify(error).0,
            Fault::Connect { error, .. } => match classify(error).0 {
                kind @ (Kind::Admin | Kind::InvalidArgument | Kind::Client) => kind,
                _ => Kind::Cluster,
            },
            Fault::NotFound { .. } => Kind::RecordNotFound,
            Fault::NoNode => Kind::Cluster,
            Fault::Backpressure { .. } => Kind::Backpressure,
            Fault::Argument(_) => Kind::InvalidArgument,
            Fault::Panicked(_) => Kind::Panic,
            Fault::NotConnected
            | Fault::Closed
            | Fault::Client(_)
            | Fault::Cancelled
            | Fault::Internal(_) => Kind::Client,
        }
    }

    /// The server's code, or [`NO_SERVER_CODE`].
    pub fn code(&self) -> i32 {
        match self {
            Fault::Driver { error, .. } | Fault::Connect { error, .. } => classify(error).1,
            Fault::NotFound { .. } => i32::from(u8::from(ResultCode::KeyNotFoundError)),
            _ => NO_SERVER_CODE,
        }
    }

    /// Whether a write may have been applied all the same.
    pub fn in_doubt(&self) -> bool {
        matches!(self, Fault::Driver { error, .. } if decisive(error).in_doubt())
    }

    /// How the operation ended, for the records.
    pub fn end(&self) -> End {
        let code = self.code();
        End {
            outcome: self.outcome(),
            error: Some(self.kind().exception()),
            code: (code != NO_SERVER_CODE).then_some(code),
        }
    }

    /// How the operation counts in the records.
    pub fn outcome(&self) -> Outcome {
        if matches!(self, Fault::Cancelled) {
            return Outcome::Cancelled;
        }
        match self.kind() {
            Kind::RecordNotFound => Outcome::NotFound,
            Kind::Timeout if self.code() == NO_SERVER_CODE => Outcome::Timeout,
            Kind::Cluster => Outcome::Connection,
            Kind::Client | Kind::Backpressure | Kind::Panic | Kind::InvalidArgument => {
                Outcome::ClientError
            }
            _ => Outcome::ServerError,
        }
    }

    /// Whether another attempt may go better: the network or a busy server is to blame.
    pub fn is_transient(&self) -> bool {
        match self {
            Fault::Driver { error, .. } => {
                let (kind, code) = classify(error);
                matches!(kind, Kind::Cluster | Kind::Timeout) || is_retryable(code)
            }
            _ => false,
        }
    }

    /// Everything an exception needs.
    pub fn verdict(&self) -> Verdict {
        Verdict {
            kind: self.kind(),
            code: self.code(),
            in_doubt: self.in_doubt(),
            message: self.to_string(),
        }
    }
}

impl From<aerospike_core::Error> for Fault {
    fn from(error: aerospike_core::Error) -> Self {
        Fault::driver(error)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests;
