//! The operations on one record.

use std::collections::{HashMap, VecDeque};

use aerospike_core::{Bins, IndexMap, Record, ResultCode, Value};

use crate::error::Fault;
use crate::ops::gathered::Gathered;
use crate::ops::request::{
    Answer, HeaderReply, KeyRequest, OperateRequest, OrderedReply, ReadRequest, RecordReply, Reply,
    WriteRequest,
};
use crate::ops::session::Session;

pub(super) async fn get(session: &Session, request: Box<ReadRequest>) -> Result<Reply, Fault> {
    let mut request = request;
    let bins = std::mem::replace(&mut request.bins, Bins::None);
    let gathered = Gathered::new(session.keeps_bins());
    let reading = session.client().get(&request.policy, &request.key, bins);
    match gathered.gather(reading).await {
        Ok(mut record) => {
            let taken = gathered
                .end()
                .and_then(|replies| replies.take(record.generation));
            let kept = taken.map(|(kept, generation)| {
                record.generation = generation;
                kept
            });
            let key = request.key;
            Ok(Reply::Record(Box::new(RecordReply { key, record, kept })))
        }
        Err(error) => Err(Fault::driver(error).about(&request.key)),
    }
}

/// Reads the header rather than asking for existence: the answer carries generation and expiry.
pub(super) async fn exists(session: &Session, request: Box<ReadRequest>) -> Result<Reply, Fault> {
    let ReadRequest { key, policy, .. } = *request;
    match session.client().get(&policy, &key, Bins::None).await {
        Ok(record) => Ok(Reply::Header(Box::new(HeaderReply {
            key,
            record: Some(record),
        }))),
        Err(error) if error.server_result_code() == Some(ResultCode::KeyNotFoundError) => {
            Ok(Reply::Header(Box::new(HeaderReply { key, record: None })))
        }
        Err(error) => Err(Fault::driver(error).about(&key)),
    }
}

pub(super) async fn put(session: &Session, request: Box<WriteRequest>) -> Result<Reply, Fault> {
    let WriteRequest { key, bins, policy } = *request;
    done(session.client().put(&policy, &key, &bins).await, &key)
}

pub(super) async fn append(session: &Session, request: Box<WriteRequest>) -> Result<Reply, Fault> {
    let WriteRequest { key, bins, policy } = *request;
    done(session.client().append(&policy, &key, &bins).await, &key)
}

pub(super) async fn prepend(session: &Session, request: Box<WriteRequest>) -> Result<Reply, Fault> {
    let WriteRequest { key, bins, policy } = *request;
    done(session.client().prepend(&policy, &key, &bins).await, &key)
}

pub(super) async fn increment(
    session: &Session,
    request: Box<WriteRequest>,
) -> Result<Reply, Fault> {
    let WriteRequest { key, bins, policy } = *request;
    done(session.client().add(&policy, &key, &bins).await, &key)
}

pub(super) async fn touch(session: &Session, request: Box<KeyRequest>) -> Result<Reply, Fault> {
    let KeyRequest { key, policy } = *request;
    done(session.client().touch(&policy, &key).await, &key)
}

pub(super) async fn remove(session: &Session, request: Box<KeyRequest>) -> Result<Reply, Fault> {
    let KeyRequest { key, policy } = *request;
    match session.client().delete(&policy, &key).await {
        Ok(true) => Ok(Reply::Nothing),
        Ok(false) => Err(Fault::not_found(&key)),
        Err(error) => Err(Fault::driver(error).about(&key)),
    }
}

pub(super) async fn operate(
    session: &Session,
    request: Box<OperateRequest>,
) -> Result<Reply, Fault> {
    let OperateRequest {
        key, steps, policy, ..
    } = *request;
    match session.client().operate(&policy, &key, &steps).await {
        Ok(mut record) => {
            drop_empty_answers(&mut record);
            Ok(Reply::Record(Box::new(RecordReply {
                key,
                record,
                kept: None,
            })))
        }
        Err(error) => Err(Fault::driver(error).about(&key)),
    }
}

pub(super) async fn operate_ordered(
    session: &Session,
    request: Box<OperateRequest>,
) -> Result<Reply, Fault> {
    let OperateRequest {
        key,
        steps,
        answers,
        policy,
    } = *request;
    match session.client().operate(&policy, &key, &steps).await {
        Ok(mut record) => {
            let entries = in_order(std::mem::take(&mut record.bins), &answers);
            Ok(Reply::Ordered(Box::new(OrderedReply {
                key,
                record,
                entries,
            })))
        }
        Err(error) => Err(Fault::driver(error).about(&key)),
    }
}

fn done(result: aerospike_core::Result<()>, key: &aerospike_core::Key) -> Result<Reply, Fault> {
    match result {
        Ok(()) => Ok(Reply::Nothing),
        Err(error) => Err(Fault::driver(error).about(key)),
    }
}

/// Steps that only write answer with nil, which says nothing. What is left of a bin that several
/// steps answered for is one value, or a list if several of them read it.
pub(super) fn drop_empty_answers(record: &mut Record) {
    record.bins.retain(|_, value| {
        if let Value::MultiResult(values) = value {
            values.retain(|value| !value.is_nil());
            match values.len() {
                0 => return false,
                1 => *value = values.remove(0),
                _ => {}
            }
        }
        !value.is_nil()
    });
}

/// Sorts the answers, which the driver has gathered by bin, back into the order of the steps.
///
/// A server answers every step, or only those that read; which it was shows in the number of a
/// bin's answers.
fn in_order(bins: IndexMap<String, Value>, steps: &[Answer]) -> Vec<(String, Value)> {
    let mut open: Vec<(String, VecDeque<Value>)> = bins
        .into_iter()
        .map(|(name, value)| match value {
            Value::MultiResult(values) => (name, VecDeque::from(values)),
            value => (name, VecDeque::from([value])),
        })
        .collect();
    let mut steps_of: HashMap<&str, usize> = HashMap::new();
    for bin in steps.iter().filter_map(|step| step.bin.as_deref()) {
        *steps_of.entry(bin).or_default() += 1;
    }
    let all_answered: Vec<bool> = open
        .iter()
        .map(|(name, values)| {
            steps_of
                .get(name.as_str())
                .is_some_and(|&count| values.len() >= count)
        })
        .collect();
    let mut entries = Vec::new();
    for step in steps {
        for ((name, values), all_answered) in open.iter_mut().zip(&all_answered) {
            let concerned = match &step.bin {
                Some(bin) => bin == name && (step.reads || *all_answered),
                None => step.reads && values.len() > left(&mut steps_of, name),
            };
            if !concerned {
                continue;
            }
            if let Some(value) = values.pop_front().filter(|value| !value.is_nil()) {
                entries.push((name.clone(), value));
            }
        }
        if let Some(count) = step.bin.as_deref().and_then(|bin| steps_of.get_mut(bin)) {
            *count -= 1;
        }
    }
    entries
}

fn left(steps_of: &mut HashMap<&str, usize>, name: &str) -> usize {
    steps_of.get(name).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bin: &str, reads: bool) -> Answer {
        Answer {
            bin: Some(bin.to_owned()),
            reads,
        }
    }

    fn bins(entries: &[(&str, Value)]) -> IndexMap<String, Value> {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    fn named(entries: &[(&str, i64)]) -> Vec<(String, Value)> {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::Int(*value)))
            .collect()
    }

    #[test]
    fn answers_of_writes_vanish_and_single_answers_are_unwrapped() {
        let bins = bins(&[
            (
                "counter",
                Value::MultiResult(vec![Value::Nil, Value::Int(2)]),
            ),
            (
                "twice",
                Value::MultiResult(vec![Value::Int(1), Value::Nil, Value::Int(3)]),
            ),
            ("written", Value::Nil),
            ("mute", Value::MultiResult(vec![Value::Nil, Value::Nil])),
            ("list", Value::List(vec![Value::Nil])),
        ]);
        let mut record = Record::new(None, bins, None, 1, 0);
        drop_empty_answers(&mut record);
        assert_eq!(record.bins.len(), 3);
        assert_eq!(record.bins.get("counter"), Some(&Value::Int(2)));
        assert_eq!(
            record.bins.get("twice"),
            Some(&Value::MultiResult(vec![Value::Int(1), Value::Int(3)]))
        );
        assert_eq!(
            record.bins.get("list"),
            Some(&Value::List(vec![Value::Nil]))
        );
    }

    #[test]
    fn reads_come_back_in_the_order_of_the_steps() {
        let bins = bins(&[("a", Value::Int(1)), ("b", Value::Int(2))]);
        let steps = [answer("b", true), answer("a", true)];
        assert_eq!(in_order(bins, &steps), named(&[("b", 2), ("a", 1)]));
    }

    #[test]
    fn servers_that_answer_every_step_and_those_that_answer_reads_agree() {
        let steps = [
            answer("n", false),
            answer("n", true),
            answer("m", true),
            answer("n", true),
        ];
        let every = bins(&[
            (
                "n",
                Value::MultiResult(vec![Value::Nil, Value::Int(1), Value::Int(3)]),
            ),
            ("m", Value::Int(2)),
        ]);
        let reads = bins(&[
            ("n", Value::MultiResult(vec![Value::Int(1), Value::Int(3)])),
            ("m", Value::Int(2)),
        ]);
        let expected = named(&[("n", 1), ("m", 2), ("n", 3)]);
        assert_eq!(in_order(every, &steps), expected);
        assert_eq!(in_order(reads, &steps), expected);
    }

    #[test]
    fn a_read_of_all_bins_leaves_the_answers_of_later_steps_alone() {
        let steps = [
            Answer {
                bin: None,
                reads: true,
            },
            answer("a", true),
        ];
        let bins = bins(&[
            ("a", Value::MultiResult(vec![Value::Int(1), Value::Int(1)])),
            ("b", Value::Int(2)),
        ]);
        assert_eq!(
            in_order(bins, &steps),
            named(&[("a", 1), ("b", 2), ("a", 1)])
        );
    }
}
