//! Flamegraphs of stages: weighted stacks of frame names, folded text, SVG and differential SVG.
//!
//! A stack is whatever its caller makes of it, usually operation, lane, stage and node; its weight is nanoseconds.
//! Nothing here knows how stages are recorded or which exist. Drawing is `inferno`'s; this crate keeps its input
//! well-formed, siblings in the order in which they happen, and colours by family instead of by chance.
//!
//! ```
//! use aerospike_flamegraphs::{render_svg, Family, Folded, Style};
//!
//! let mut folded = Folded::new();
//! folded.add(["get", "sync", "encode"], 2_000);
//! folded.add(["get", "sync", "network_wait"], 48_000);
//! assert_eq!(folded.to_folded_text(), "get;sync;encode 2000\nget;sync;network_wait 48000\n");
//!
//! let mut style = Style::new("One get");
//! style.paint("encode", Family::Driver);
//! style.paint("network_wait", Family::Network);
//! assert!(render_svg(&folded, &style)?.contains("network_wait"));
//! # Ok::<(), aerospike_flamegraphs::RenderError>(())
//! ```

mod colour;
mod folded;
mod frame;
mod svg;

pub use colour::Family;
pub use folded::{Folded, FoldedTextError, FoldedTextProblem};
pub use svg::{render_diff_svg, render_svg, RenderError, Side, Style};
