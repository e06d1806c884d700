//! Where a signal goes and how: what traces and metrics are asked alike, each by variables of its own that come before
//! the common ones.

use std::path::PathBuf;
use std::time::Duration;

use super::{pairs, Reader};

/// How a signal gets to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    Http,
}

impl Transport {
    /// As the variables have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Grpc => "grpc",
            Transport::Http => "http/protobuf",
        }
    }
}

/// Where to, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// How.
    pub transport: Transport,
    /// Where: a URL, with its path for HTTP.
    pub endpoint: String,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Whether requests are compressed with gzip.
    pub gzip: bool,
    /// How long one request may take.
    pub timeout: Duration,
    /// A file with the certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// What the service is called.
    pub service_name: String,
    /// What else is known of it.
    pub resource: Vec<(String, String)>,
}

/// The variables of a signal, each before the one that holds for all signals.
pub(super) struct Variables {
    pub(super) endpoint: &'static str,
    pub(super) protocol: [&'static str; 2],
    pub(super) headers: [&'static str; 2],
    pub(super) compression: [&'static str; 2],
    pub(super) timeout: [&'static str; 2],
    pub(super) certificate: [&'static str; 2],
    /// What is added to a URL that has no path of its own.
    pub(super) path: &'static str,
}

/// The variables of a signal by its name in them.
macro_rules! variables {
    ($signal:literal, $path:literal) => {
        $crate::settings::destination::Variables {
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $signal, "_ENDPOINT"),
            protocol: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_PROTOCOL"),
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            headers: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_HEADERS"),
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
            compression: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_COMPRESSION"),
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            timeout: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_TIMEOUT"),
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            certificate: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_CERTIFICATE"),
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
            ],
            path: $path,
        }
    };
}
pub(super) use variables;

impl Destination {
    pub(super) fn read(reader: Reader<'_>, variables: &Variables) -> Result<Destination, String> {
        let transport = transport(reader, variables)?;
        let resource = resource(reader)?;
        let named = resource.iter().find(|(name, _)| name == "service.name");
        let service_name = reader
            .find(&["OTEL_SERVICE_NAME"])
            .map(|(name, _)| name)
            .or_else(|| named.map(|(_, name)| name.clone()))
            .unwrap_or_else(|| "aerospike-py".to_owned());
        let certificate = reader.find(&variables.certificate);
        Ok(Destination {
            transport,
            endpoint: endpoint(reader, variables, transport)?,
            headers: headers(reader, variables)?,
            gzip: gzip(reader, variables)?,
            timeout: reader.millis(&variables.timeout, 10_000)?,
            certificate: certificate.map(|(path, _)| PathBuf::from(path)),
            service_name,
            resource,
        })
    }
}

fn transport(reader: Reader<'_>, variables: &Variables) -> Result<Transport, String> {
    let expected = "\"grpc\" or \"http/protobuf\"";
    let found = reader.parsed(&variables.protocol, expected, |value| match value {
        "grpc" => Some(Transport::Grpc),
        "http/protobuf" => Some(Transport::Http),
        _ => None,
    })?;
    Ok(found.unwrap_or(Transport::Grpc))
}

fn endpoint(
    reader: Reader<'_>,
    variables: &Variables,
    transport: Transport,
) -> Result<String, String> {
    let url = |value: &str| is_url(value).then(|| value.trim_end_matches('/').to_owned());
    let expected = "a URL like http://collector:4317 with the scheme http or https";
    let path = variables.path;
    if let Some(own) = reader.parsed(&[variables.endpoint], expected, url)? {
        return Ok(match transport {
            // An argument or variable for one signal is used as it is; without any path, the standard one is meant.
            Transport::Http if !has_path(&own) => format!("{own}{path}"),
            _ => own,
        });
    }
    let common = reader.parsed(&["OTEL_EXPORTER_OTLP_ENDPOINT"], expected, url)?;
    Ok(match (transport, common) {
        (Transport::Grpc, Some(common)) => common,
        (Transport::Grpc, None) => "http://localhost:4317".to_owned(),
        (Transport::Http, Some(common)) => format!("{common}{path}"),
        (Transport::Http, None) => format!("http://localhost:4318{path}"),
    })
}

fn is_url(value: &str) -> bool {
    let rest = value
        .strip_prefix("http://")
        .or_else(|| value.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let odd = |character: char| character.is_whitespace() || character.is_control();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let good_port = port.is_none_or(|port| port.ends_with(']') || port.parse::<u16>().is_ok());
    !authority.is_empty() && !authority.starts_with(':') && good_port && !value.contains(odd)
}

fn has_path(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'))
}

fn gzip(reader: Reader<'_>, variables: &Variables) -> Result<bool, String> {
    let expected = "\"gzip\" or \"none\"";
    let found = reader.parsed(&variables.compression, expected, |value| match value {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    })?;
    Ok(found.unwrap_or(false))
}

/// What a list of pairs has to look like.
const PAIRS: &str = "a list like name=value,other=value";

fn headers(reader: Reader<'_>, variables: &Variables) -> Result<Vec<(String, String)>, String> {
    let found = reader.parsed(&variables.headers, PAIRS, pairs)?;
    Ok(found.unwrap_or_default())
}

fn resource(reader: Reader<'_>) -> Result<Vec<(String, String)>, String> {
    let found = reader.parsed(&["OTEL_RESOURCE_ATTRIBUTES"], PAIRS, pairs)?;
    Ok(found.unwrap_or_default())
}
