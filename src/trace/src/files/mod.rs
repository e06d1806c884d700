//! Operations in Arrow files, as `docs/trace-format.md` says: what the columns are ([`schema`]), rows ([`rows`],
//! [`probes`]), files that come and go ([`rotation`]) and the thread that writes them ([`recording`]).

pub mod probes;
pub mod recording;
pub mod rotation;
pub mod rows;
pub mod schema;
