//! What a scrape gets.

use crate::export::families;
use crate::export::text::{encode, Format};
use crate::lanes::fork;

/// Everything recorded since the process started.
pub fn render(format: Format) -> String {
    encode(&families::collect(fork::generation()), format)
}
