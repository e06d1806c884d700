//! Makes spans of ended operations, after the fact: one client span per operation, one below it for every stage on its
//! critical path, and for a batch one for every node with the node's own stages below.
//!
//! Names and attributes follow OpenTelemetry's conventions for databases; what they have no word for is called
//! `aerospike.*`.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aerospike_stages::caller::Span;
use aerospike_stages::{NodeId, Outcome, Stage};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::ended::{Branch, Converted, Ended};
use crate::pieces::Piece;
use crate::random;
use crate::words::Words;

/// The scope that our spans are exported under.
pub const SCOPE: &str = "aerospike-py";
/// How many operations are remembered for conversions that come later.
const REMEMBERED: usize = 1024;

/// Makes spans.
pub struct Spans {
    scope: InstrumentationScope,
    words: Words,
    stages: bool,
    /// What to add to the recorder's nanoseconds.
    offset: i64,
    exported: HashMap<u64, Span>,
    order: VecDeque<u64>,
}

/// Which span another one lies below.
#[derive(Clone, Copy)]
struct Below {
    trace_id: u128,
    span_id: u64,
}

impl Spans {
    /// With or without spans for stages and nodes.
    #[must_use]
    pub fn new(stages: bool, version: String) -> Self {
        Spans {
            scope: InstrumentationScope::builder(SCOPE)
                .with_version(version)
                .build(),
            words: Words::default(),
            stages,
            offset: 0,
            exported: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Says how the recorder's clock relates to the calendar now.
    pub fn set_offset(&mut self, offset: i64) {
        self.offset = offset;
    }

    /// Adds the spans of an operation.
    pub fn add_operation(&mut self, ended: Ended<'_>, spans: &mut Vec<SpanData>) {
        let Some(caller) = &ended.caller else { return };
        let Some(span) = caller.span else { return };
        self.remember(ended.origin.id, span);
        let below = Below {
            trace_id: span.trace_id,
            span_id: span.span_id,
        };
        let start = ended.ending.start;
        let attributes = self.attributes(ended);
        let name = self.name(ended);
        let mut own = self.span(below, name, start, ended.ending.wall);
        own.span_context = context(span.trace_id, span.span_id);
        own.parent_span_id = SpanId::INVALID;
        if let Some(parent) = &caller.parent {
            own.parent_span_id = SpanId::from_bytes(parent.span_id.to_be_bytes());
            own.parent_span_is_remote = parent.remote;
        }
        own.span_kind = SpanKind::Client;
        own.attributes = attributes;
        own.status = status(ended);
        spans.push(own);
        if self.stages {
            if !ended.folded {
                self.add_stages(below, start, ended.pieces(), spans);
            }
            for branch in ended.branches {
                self.add_branch(below, ended, branch, spans);
            }
        }
    }

    /// `batch_read users`: the operation, and the set, or else the namespace, or else the node if it was one.
    fn name(&mut self, ended: Ended<'_>) -> Cow<'static, str> {
        let operation = ended.origin.operation.name();
        match self.words.place(ended.facts.subject.target) {
            (_, Some(target)) | (Some(target), None) => format!("{operation} {target}").into(),
            (None, None) => match self.words.node(only_node(ended)) {
                Some(node) => format!("{operation} {}", node.address).into(),
                None => operation.into(),
            },
        }
    }

    fn attributes(&mut self, ended: Ended<'_>) -> Vec<KeyValue> {
        let (ending, facts, end) = (&ended.ending, &ended.facts, &ended.end);
        let mut all = Vec::with_capacity(28);
        let mut say = |attribute: KeyValue| all.push(attribute);
        say(KeyValue::new("db.system.name", "aerospike"));
        say(KeyValue::new(
            "db.operation.name",
            ended.origin.operation.name(),
        ));
        let (namespace, set) = self.words.place(facts.subject.target);
        if let Some(namespace) = namespace {
            say(KeyValue::new("db.namespace", namespace.to_owned()));
        }
        if let Some(set) = set {
            say(KeyValue::new("db.collection.name", set.to_owned()));
        }
        if facts.subject.keys > 1 {
            let keys = i64::from(facts.subject.keys);
            say(KeyValue::new("db.operation.batch.size", keys));
        }
        if let Some(code) = end.code {
            say(KeyValue::new("db.response.status_code", code.to_string()));
        }
        if ending.outcome.is_error() {
            let error = end.error.unwrap_or(ending.outcome.name());
            say(KeyValue::new("error.type", error));
        }
        say_node(&mut self.words, only_node(ended), &mut say);
        say(KeyValue::new(
            "aerospike.operation_id",
            ended.origin.id as i64,
        ));
        say(KeyValue::new("aerospike.lane", ended.origin.lane.name()));
        say(KeyValue::new("aerospike.outcome", ending.outcome.name()));
        if let Some(stage) = ending.failed_in {
            say(KeyValue::new("aerospike.failed_in", stage.name()));
        }
        if let Some(kept) = ended.kept {
            say(KeyValue::new("aerospike.sampled_by", kept.name()));
        }
        for (name, number) in [
            ("aerospike.attempts", u64::from(ending.attempts)),
            ("aerospike.bytes_sent", facts.bytes_sent),
            ("aerospike.bytes_received", facts.bytes_received),
            ("aerospike.client_id", u64::from(facts.client)),
            ("aerospike.in_flight", u64::from(facts.in_flight)),
            ("aerospike.sets", u64::from(facts.subject.sets)),
        ] {
            say(KeyValue::new(name, number as i64));
        }
        say_caller(ended, &mut say);
        all
    }

    fn add_stages(
        &mut self,
        below: Below,
        start: u64,
        pieces: impl Iterator<Item = Piece>,
        spans: &mut Vec<SpanData>,
    ) {
        for piece in pieces {
            let name = piece.stage.name();
            let mut span = self.span(below, name.into(), start + piece.start, piece.duration);
            span.attributes = vec![KeyValue::new("aerospike.stage", name)];
            if let Some(node) = self.words.node(piece.node) {
                let node = KeyValue::new("aerospike.node", node.address.clone());
                span.attributes.push(node);
            }
            spans.push(span);
        }
    }

    fn add_branch(
        &mut self,
        below: Below,
        ended: Ended<'_>,
        branch: &Branch,
        spans: &mut Vec<SpanData>,
    ) {
        let start = ended.ending.start;
        let address = self
            .words
            .node(ended.node_of(branch))
            .map(|node| node.address.clone());
        let name = match &address {
            Some(address) => format!("node {address}").into(),
            None => "node".into(),
        };
        let mut span = self.span(below, name, start + branch.start, branch.duration);
        let mut all = Vec::with_capacity(8);
        let mut say = |attribute: KeyValue| all.push(attribute);
        say_node(&mut self.words, ended.node_of(branch), &mut say);
        if let Some(address) = address {
            say(KeyValue::new("aerospike.node", address));
        }
        if let Some(stage) = branch.failed_in {
            say(KeyValue::new("aerospike.failed_in", stage.name()));
        }
        for (name, number) in [
            ("aerospike.attempts", u64::from(branch.attempts)),
            ("aerospike.bytes_sent", branch.bytes_sent),
            ("aerospike.bytes_received", branch.bytes_received),
        ] {
            say(KeyValue::new(name, number as i64));
        }
        span.attributes = all;
        let node = Below {
            trace_id: below.trace_id,
            span_id: u64::from_be_bytes(span.span_context.span_id().to_bytes()),
        };
        spans.push(span);
        if !branch.folded {
            self.add_stages(node, start, ended.pieces_of(branch), spans);
        }
    }

    /// Adds the span of a conversion, if its operation is known.
    pub fn add_conversion(&mut self, converted: &Converted, spans: &mut Vec<SpanData>) {
        let id = converted.origin.id;
        let Some(span) = self.exported.get(&id) else {
            return;
        };
        let below = Below {
            trace_id: span.trace_id,
            span_id: span.span_id,
        };
        let name = Stage::ToDict.name();
        let mut span = self.span(below, name.into(), converted.start, converted.nanos);
        span.attributes = vec![
            KeyValue::new("aerospike.stage", name),
            KeyValue::new("aerospike.deferred", true),
            KeyValue::new("aerospike.operation_id", id as i64),
        ];
        spans.push(span);
    }

    fn remember(&mut self, id: u64, span: Span) {
        if self.order.len() >= REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.exported.remove(&oldest);
            }
        }
        self.order.push_back(id);
        self.exported.insert(id, span);
    }

    fn span(&self, below: Below, name: Cow<'static, str>, start: u64, nanos: u64) -> SpanData {
        let start_time = self.time(start);
        SpanData {
            span_context: context(below.trace_id, random::next()),
            parent_span_id: SpanId::from_bytes(below.span_id.to_be_bytes()),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time,
            end_time: start_time + Duration::from_nanos(nanos),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn time(&self, at: u64) -> SystemTime {
        let unix = (at as i64).saturating_add(self.offset).max(0);
        UNIX_EPOCH + Duration::from_nanos(unix as u64)
    }
}

/// The node that a batch went to, if it was one; the node that another operation talked to last.
fn only_node(ended: Ended<'_>) -> NodeId {
    match ended.origin.operation.is_batch() {
        true => ended.facts.node,
        false => ended.node(),
    }
}

fn context(trace_id: u128, span_id: u64) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(trace_id.to_be_bytes()),
        SpanId::from_bytes(span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

fn status(ended: Ended<'_>) -> Status {
    let outcome = ended.ending.outcome;
    if !outcome.is_error() {
        return Status::Unset;
    }
    let mut what = ended.end.error.unwrap_or(outcome.name()).to_owned();
    if let (Outcome::ServerError, Some(code)) = (outcome, ended.end.code) {
        what = format!("{what}: result code {code}");
    }
    if let Some(stage) = ended.ending.failed_in {
        what = format!("{what} in {}", stage.name());
    }
    Status::error(what)
}

fn say_node(words: &mut Words, node: NodeId, say: &mut impl FnMut(KeyValue)) {
    let Some(node) = words.node(node) else { return };
    say(KeyValue::new("server.address", node.host.clone()));
    let port = node.port.map(i64::from);
    if let Some(port) = port {
        say(KeyValue::new("server.port", port));
    }
    if node.host.parse::<IpAddr>().is_ok() {
        say(KeyValue::new("network.peer.address", node.host.clone()));
        if let Some(port) = port {
            say(KeyValue::new("network.peer.port", port));
        }
    }
}

fn say_caller(ended: Ended<'_>, say: &mut impl FnMut(KeyValue)) {
    let Some(caller) = &ended.caller else { return };
    if let Some(thread) = &caller.thread {
        say(KeyValue::new("thread.id", thread.id as i64));
        if let Some(name) = &thread.name {
            say(KeyValue::new("thread.name", name.clone()));
        }
    }
    if let Some(task) = &caller.task {
        say(KeyValue::new("aerospike.task_id", task.id as i64));
        if let Some(name) = &task.name {
            say(KeyValue::new("aerospike.task_name", name.clone()));
        }
    }
    if let Some(loop_id) = caller.loop_id {
        say(KeyValue::new("aerospike.loop_id", loop_id as i64));
    }
}

#[cfg(test)]
mod tests {
    use aerospike_stages::{Lane, Operation, Origin};

    use super::*;

    #[test]
    fn a_conversion_has_a_span_only_below_that_of_its_operation() {
        let mut spans = Spans::new(true, String::new());
        let origin = Origin {
            id: 7,
            operation: Operation::BatchRead,
            lane: Lane::Sync,
        };
        let conversion = Converted::here(origin, 10, 5);
        let mut made = Vec::new();
        spans.add_conversion(&conversion, &mut made);
        assert!(made.is_empty());
        let own = Span {
            trace_id: 1,
            span_id: 2,
            sampled: true,
        };
        spans.remember(7, own);
        spans.add_conversion(&conversion, &mut made);
        assert_eq!(made.len(), 1);
        assert_eq!(
            made[0].parent_span_id,
            SpanId::from_bytes(2_u64.to_be_bytes())
        );
    }
}
