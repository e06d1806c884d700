//! What is recorded about an operation besides time: which one it is, how it was driven, how it ended.

macro_rules! operations {
    ($( $variant:ident = $name:literal, )*) => {
        /// A public method of the client whose calls are recorded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Operation {
            $( #[doc = concat!("`", $name, "`")] $variant, )*
        }

        impl Operation {
            /// All operations.
            pub const ALL: &'static [Operation] = &[ $( Operation::$variant, )* ];
            /// How many there are.
            pub const COUNT: usize = Operation::ALL.len();

            /// The method's name, which is also the `db.operation.name` label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Operation::$variant => $name, )* }
            }

            /// Whether it is about many records.
            #[must_use]
            pub const fn is_batch(self) -> bool {
                matches!(
                    self,
                    Operation::BatchRead
                        | Operation::BatchWrite
                        | Operation::BatchWriteNumpy
                        | Operation::BatchOperate
                        | Operation::BatchRemove
                )
            }
        }
    };
}

operations! {
    Connect = "connect",
    Ping = "ping",
    InfoAll = "info_all",
    InfoRandomNode = "info_random_node",
    Put = "put",
    Get = "get",
    Select = "select",
    Exists = "exists",
    Remove = "remove",
    Touch = "touch",
    Append = "append",
    Prepend = "prepend",
    Increment = "increment",
    RemoveBin = "remove_bin",
    Operate = "operate",
    OperateOrdered = "operate_ordered",
    BatchRead = "batch_read",
    BatchWrite = "batch_write",
    BatchWriteNumpy = "batch_write_numpy",
    BatchOperate = "batch_operate",
    BatchRemove = "batch_remove",
    Truncate = "truncate",
    Close = "close",
}

/// Who drives an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// The calling thread, which waits for the result.
    Sync,
    /// A runtime thread, with the result handed to an event loop.
    Asyncio,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Lane; 2] = [Lane::Sync, Lane::Asyncio];
    /// How many there are.
    pub const COUNT: usize = Lane::ALL.len();

    /// The lane's name in snapshots and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Lane::Sync => "sync",
            Lane::Asyncio => "asyncio",
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// With a result.
    Ok,
    /// The server said that the record does not exist; not a failure of the operation.
    NotFound,
    /// The server answered with another error code.
    ServerError,
    /// A deadline passed in the client.
    Timeout,
    /// The connection or the cluster failed.
    Connection,
    /// The client refused or failed for another reason.
    ClientError,
    /// The caller stopped waiting.
    Cancelled,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Outcome; 7] = [
        Outcome::Ok,
        Outcome::NotFound,
        Outcome::ServerError,
        Outcome::Timeout,
        Outcome::Connection,
        Outcome::ClientError,
        Outcome::Cancelled,
    ];
    /// How many there are.
    pub const COUNT: usize = Outcome::ALL.len();

    /// The outcome's name in snapshots and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::NotFound => "not_found",
            Outcome::ServerError => "server_error",
            Outcome::Timeout => "timeout",
            Outcome::Connection => "connection",
            Outcome::ClientError => "client_error",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// Whether the operation counts as an error in metrics.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::NotFound)
    }
}
