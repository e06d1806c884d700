//! Where the wall time of an operation goes: the stage table, the recorder that partitions an
//! operation's time into those stages, and the histograms that collect finished operations.
//!
//! Nothing here knows Python, Tokio or the Aerospike protocol. The runtime crate and the lanes
//! report what happened ([`current`]); the recorder turns it into stages; [`collector`] adds up.

pub mod attempts;
pub mod boundary;
pub mod caller;
mod cells;
pub mod clock;
pub mod collector;
pub mod current;
mod ends;
pub mod event;
pub mod exemplar;
pub mod exponential;
pub mod facts;
pub mod histogram;
pub mod hold;
pub mod invariants;
pub mod node;
pub mod observed;
pub mod operation;
pub mod parts;
mod pending;
pub mod recorder;
pub mod series;
pub mod sink;
mod sparse;
pub mod summary;
pub mod table;
pub mod target;
pub mod timeline;
mod totals;
pub mod track;

pub use attempts::Attempts;
pub use caller::Caller;
pub use collector::{is_enabled, set_enabled};
pub use event::Event;
pub use facts::{End, Facts, Subject};
pub use node::NodeId;
pub use observed::{Observation, Observed};
pub use operation::{Lane, Operation, Outcome};
pub use recorder::{GilWait, Origin, Recorder};
pub use summary::Summary;
pub use table::Stage;
pub use target::Target;
