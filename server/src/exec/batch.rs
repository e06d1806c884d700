//! Batches: row after row, answered in chunks of bounded size.

use super::{run, Command};
use crate::store::Namespace;
use crate::wire::batch::{Batch, Rows};
use crate::wire::code;
use crate::wire::reply::put_last;

/// A batch on its way through the server.
pub(crate) struct BatchRun<'a> {
    rows: Rows<'a>,
    respond_all_keys: bool,
}

impl<'a> BatchRun<'a> {
    pub(crate) fn new(batch: &Batch<'a>) -> Self {
        BatchRun {
            rows: batch.rows(),
            respond_all_keys: batch.respond_all_keys(),
        }
    }

    /// Appends reply messages until `limit` bytes are reached or the batch has ended, and says whether it has.
    pub(crate) fn fill(
        &mut self,
        namespaces: &[Namespace],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> bool {
        while out.len() < limit {
            let Some((index, digest, row)) = self.rows.next() else {
                put_last(out, code::OK, 0);
                return true;
            };
            let command = Command {
                info1: row.info1,
                info2: row.info2,
                info3: row.info3,
                generation: row.generation,
                record_ttl: row.record_ttl,
                digest,
                fields: &row.fields,
                ops: row.ops,
                index,
            };
            let start = out.len();
            let result = run(namespaces, &command, out);
            let expected = matches!(result, code::OK | code::NOT_FOUND | code::FILTERED_OUT);
            if !expected && !self.respond_all_keys {
                out.truncate(start);
                put_last(out, result, index);
                return true;
            }
        }
        false
    }
}
