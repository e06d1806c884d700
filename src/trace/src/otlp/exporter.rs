//! The exporter of spans of OpenTelemetry's crates, for either transport.

use std::collections::HashMap;

use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::trace::SpanExporter as _;

use crate::otlp::transport::{channel, headers, http_client, resource, wrong};
use crate::settings::{Destination, Transport};

/// Makes the exporter; within a Tokio runtime, on which it then works.
///
/// # Errors
/// What is wrong with the destination, in words.
pub fn exporter(to: &Destination) -> Result<SpanExporter, String> {
    let mut exporter = match to.transport {
        Transport::Grpc => grpc(to)?,
        Transport::Http => http(to)?,
    };
    exporter.set_resource(&resource(to));
    Ok(exporter)
}

fn grpc(to: &Destination) -> Result<SpanExporter, String> {
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel(to)?)
        .with_timeout(to.timeout)
        .with_metadata(MetadataMap::from_headers(headers(to)?));
    if to.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(|error| wrong(to, error))
}

fn http(to: &Destination) -> Result<SpanExporter, String> {
    // What cannot be sent would be left out without a word.
    headers(to)?;
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(http_client(to)?)
        .with_endpoint(&to.endpoint)
        .with_timeout(to.timeout)
        .with_headers(to.headers.iter().cloned().collect::<HashMap<_, _>>());
    if to.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(|error| wrong(to, error))
}
