//! The columns of trace files. `docs/trace-format.md` describes them; a test compares the two.

use std::collections::HashMap;
use std::sync::Arc;

use aerospike_stages::Stage;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use serde_json::Value;

/// The version of the format.
const VERSION: &str = "1";

/// The fields of a segment.
#[must_use]
pub fn segment_fields() -> Fields {
    Fields::from(vec![
        Field::new("stage", DataType::UInt8, false),
        Field::new("node", DataType::UInt8, false),
        Field::new("start_ns", DataType::UInt64, false),
        Field::new("duration_ns", DataType::UInt64, false),
    ])
}

/// The element of a list of segments.
#[must_use]
pub fn segment() -> Arc<Field> {
    Arc::new(Field::new(
        "item",
        DataType::Struct(segment_fields()),
        false,
    ))
}

/// The fields of a track.
#[must_use]
pub fn track_fields() -> Fields {
    Fields::from(vec![
        Field::new("node", DataType::UInt8, false),
        Field::new("attempts", DataType::UInt16, false),
        Field::new("start_ns", DataType::UInt64, false),
        Field::new("duration_ns", DataType::UInt64, false),
        Field::new("segments", DataType::List(segment()), false),
        Field::new("bytes_sent", DataType::UInt64, false),
        Field::new("bytes_received", DataType::UInt64, false),
    ])
}

/// The element of a list of tracks.
#[must_use]
pub fn track() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(track_fields()), false))
}

/// The element of a list of nodes.
#[must_use]
pub fn node() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Utf8, false))
}

/// The columns of a file of operations.
#[must_use]
pub fn operations(frame: &Value) -> SchemaRef {
    use DataType::{FixedSizeBinary, Int32, List, UInt16, UInt32, UInt64, Utf8};
    let needed = |name: &str, kind| Field::new(name, kind, false);
    let optional = |name: &str, kind| Field::new(name, kind, true);
    let mut fields = vec![
        needed("kind", Utf8),
        needed("operation_id", UInt64),
        needed("client_id", UInt32),
        needed("operation", Utf8),
        needed("lane", Utf8),
        needed("start_ns", UInt64),
        needed("duration_ns", UInt64),
        needed("outcome", Utf8),
        optional("error_type", Utf8),
        optional("status_code", Int32),
        optional("failed_in", Utf8),
        optional("namespace", Utf8),
        optional("set", Utf8),
        needed("sets", UInt16),
        needed("keys", UInt32),
        needed("attempts", UInt16),
        needed("bytes_sent", UInt64),
        needed("bytes_received", UInt64),
        needed("in_flight", UInt32),
        optional("node", Utf8),
        needed("thread_id", UInt64),
        optional("thread_name", Utf8),
        optional("task_id", UInt64),
        optional("task_name", Utf8),
        optional("loop_id", UInt64),
        optional("trace_id", FixedSizeBinary(16)),
        optional("span_id", FixedSizeBinary(8)),
    ];
    for stage in Stage::ALL {
        fields.push(needed(&format!("stage_{}_ns", stage.name()), UInt64));
    }
    fields.push(needed("nodes", List(node())));
    fields.push(needed("segments", List(segment())));
    fields.push(needed("tracks", List(track())));
    with_frame(fields, frame)
}

/// The columns of a file of conversions: those that they have in common with operations.
#[must_use]
pub fn conversions(frame: &Value) -> SchemaRef {
    use DataType::{UInt64, Utf8};
    let to_dict = format!("stage_{}_ns", Stage::ToDict.name());
    let fields = vec![
        Field::new("kind", Utf8, false),
        Field::new("operation_id", UInt64, false),
        Field::new("operation", Utf8, false),
        Field::new("lane", Utf8, false),
        Field::new("start_ns", UInt64, false),
        Field::new("duration_ns", UInt64, false),
        Field::new("thread_id", UInt64, false),
        Field::new("thread_name", Utf8, true),
        Field::new(to_dict, UInt64, false),
    ];
    with_frame(fields, frame)
}

/// The columns of a file of probes.
#[must_use]
pub fn probes(frame: &Value) -> SchemaRef {
    let fields = vec![
        Field::new("probe", DataType::Utf8, false),
        Field::new("subject", DataType::UInt64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("start_ns", DataType::UInt64, false),
        Field::new("duration_ns", DataType::UInt64, true),
        Field::new("value", DataType::Float64, true),
    ];
    with_frame(fields, frame)
}

fn with_frame(fields: Vec<Field>, frame: &Value) -> SchemaRef {
    let metadata = HashMap::from([
        ("aerospike_py.trace.version".to_owned(), VERSION.to_owned()),
        ("aerospike_py.frame".to_owned(), frame.to_string()),
    ]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows `| \`name\` | ...` of a section of the documented format.
    fn documented(section: &str) -> Vec<String> {
        let page = include_str!("../../../../docs/trace-format.md");
        let section = page
            .split("\n## ")
            .find(|part| part.starts_with(section))
            .unwrap();
        let mut names = Vec::new();
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let cell = row.split('|').nth(1).unwrap();
            for name in cell.split(',') {
                let name = name.trim().trim_matches('`');
                match name {
                    "stage_<name>_ns" => {
                        names.extend(Stage::ALL.map(|stage| format!("stage_{}_ns", stage.name())));
                    }
                    name => names.push(name.to_owned()),
                }
            }
        }
        names
    }

    fn columns(schema: &Schema) -> Vec<String> {
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    #[test]
    fn the_columns_are_those_that_are_documented() {
        assert_eq!(columns(&operations(&Value::Null)), documented("Operations"));
        assert_eq!(
            columns(&conversions(&Value::Null)),
            documented("Conversions")
        );
        assert_eq!(columns(&probes(&Value::Null)), documented("Probes"));
    }
}
