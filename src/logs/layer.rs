//! What `tracing` tells us of: records below the level are turned away before anything is formatted, the
//! others become text and wait for the thread that hands them over.

use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::Context;
use tracing_subscriber::Layer;

use crate::logs::bridge;
use crate::logs::level::{self, is_wanted, number_of};
use crate::logs::record::{self, logger_of, Message, Record};

/// The way to Python's `logging`.
pub struct ToPython;

impl<S: Subscriber> Layer<S> for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        is_wanted(*metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level::filter_of(level::least()))
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let normal = event.normalized_metadata();
        let metadata = normal.as_ref().unwrap_or_else(|| event.metadata());
        let mut text = Text::default();
        event.record(&mut text);
        let kept = record::push(Record {
            logger: logger_of(metadata.target()),
            level: number_of(*metadata.level()),
            message: text.into_message(),
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
            time: record::now(),
        });
        if kept {
            bridge::wake();
        }
    }
}

/// The message first, then the fields.
#[derive(Default)]
struct Text {
    message: Message,
    fields: Message,
}

impl Text {
    fn into_message(self) -> String {
        let mut message = self.message;
        if !self.fields.is_empty() {
            // Writing to a message cannot fail.
            let _ = message.write_str(&self.fields.into_text());
        }
        message.into_text()
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Where a record of the `log` crate comes from is in its metadata.
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
