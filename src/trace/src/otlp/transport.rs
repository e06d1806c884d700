//! The exporter of OpenTelemetry's crates for either transport, as the settings want it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::trace::SpanExporter as _;
use opentelemetry_sdk::Resource;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::frame;
use crate::settings::{Settings, Transport};

/// Makes the exporter; within a Tokio runtime, on which it then works.
///
/// # Errors
/// What is wrong with the settings, in words.
pub fn exporter(settings: &Settings) -> Result<SpanExporter, String> {
    let mut exporter = match settings.transport {
        Transport::Grpc => grpc(settings)?,
        Transport::Http => http(settings)?,
    };
    exporter.set_resource(&resource(settings));
    Ok(exporter)
}

fn wrong(settings: &Settings, error: impl std::fmt::Display) -> String {
    format!("cannot export to {}: {error}", settings.endpoint)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "cannot read the certificates in {}: {error}; check OTEL_EXPORTER_OTLP_CERTIFICATE",
            path.display()
        )
    })
}

fn grpc(settings: &Settings) -> Result<SpanExporter, String> {
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout);
    if settings.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    if settings.endpoint.starts_with("https://") {
        let tls = match &settings.certificate {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        builder = builder.with_tls_config(tls);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        headers.insert(header_name(name)?, header_value(name, value)?);
    }
    builder
        .with_metadata(MetadataMap::from_headers(headers))
        .build()
        .map_err(|error| wrong(settings, error))
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|_| {
        format!("{name:?} cannot be the name of a header: check OTEL_EXPORTER_OTLP_HEADERS")
    })
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(value).map_err(|_| {
        format!(
            "the header {name} has a value that cannot be sent: check OTEL_EXPORTER_OTLP_HEADERS"
        )
    })
}

fn http(settings: &Settings) -> Result<SpanExporter, String> {
    for (name, value) in &settings.headers {
        header_name(name)?;
        header_value(name, value)?;
    }
    let client = HyperClient::new(connector(settings)?, settings.timeout, None);
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(client)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .with_headers(settings.headers.iter().cloned().collect::<HashMap<_, _>>());
    if settings.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    builder.build().map_err(|error| wrong(settings, error))
}

/// Certificates are looked for only where they are needed.
fn connector(settings: &Settings) -> Result<HttpsConnector<HttpConnector>, String> {
    let mut roots = RootCertStore::empty();
    if settings.endpoint.starts_with("https://") {
        let certificates: Vec<CertificateDer<'static>> = match &settings.certificate {
            Some(path) => CertificateDer::pem_slice_iter(&read(path)?)
                .collect::<Result<_, _>>()
                .map_err(|error| format!("{} holds no certificates: {error}", path.display()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(wrong(
                settings,
                "there is no certificate to trust; check OTEL_EXPORTER_OTLP_CERTIFICATE",
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(settings, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build())
}

fn resource(settings: &Settings) -> Resource {
    let interpreter = frame::interpreter();
    let given = settings
        .resource
        .iter()
        .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.distro.name", "aerospike-py"),
            KeyValue::new("telemetry.distro.version", interpreter.client_version),
            KeyValue::new("host.name", frame::host()),
            KeyValue::new("process.pid", i64::from(std::process::id())),
            KeyValue::new("process.runtime.name", interpreter.python_implementation),
            KeyValue::new("process.runtime.version", interpreter.python_version),
        ])
        .with_attributes(given)
        .with_service_name(settings.service_name.clone())
        .build()
}
