//! What carries a signal over either transport, as its destination wants it: channels, clients, headers, certificates,
//! and who it comes from. Both signals share it.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_sdk::Resource;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::frame;
use crate::settings::Destination;

/// A client for HTTP.
pub type HttpClient = HyperClient<HttpsConnector<HttpConnector>>;

/// What to say when something keeps us from exporting there.
pub fn wrong(to: &Destination, error: impl std::fmt::Display) -> String {
    format!("cannot export to {}: {error}", to.endpoint)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "cannot read the certificates in {}: {error}; check OTEL_EXPORTER_OTLP_CERTIFICATE",
            path.display()
        )
    })
}

/// A channel for gRPC, which connects when it is first used; within a Tokio runtime, on which it then works.
///
/// # Errors
/// What is wrong with the destination, in words.
pub fn channel(to: &Destination) -> Result<Channel, String> {
    let mut endpoint =
        Endpoint::from_shared(to.endpoint.clone()).map_err(|error| wrong(to, error))?;
    if to.endpoint.starts_with("https://") {
        let tls = match &to.certificate {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|error| wrong(to, error))?;
    }
    Ok(endpoint.timeout(to.timeout).connect_lazy())
}

/// The headers that are sent along.
///
/// # Errors
/// Which of them cannot be sent.
pub fn headers(to: &Destination) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &to.headers {
        let key = HeaderName::try_from(name).map_err(|_| {
            format!("{name:?} cannot be the name of a header: check OTEL_EXPORTER_OTLP_HEADERS")
        })?;
        let value = HeaderValue::try_from(value).map_err(|_| {
            format!(
                "the header {name} has a value that cannot be sent: check OTEL_EXPORTER_OTLP_HEADERS"
            )
        })?;
        headers.insert(key, value);
    }
    Ok(headers)
}

/// A client for HTTP; within a Tokio runtime, on which it then works.
///
/// # Errors
/// What is wrong with the destination, in words.
pub fn http_client(to: &Destination) -> Result<HttpClient, String> {
    Ok(HyperClient::new(connector(to)?, to.timeout, None))
}

/// Certificates are looked for only where they are needed.
fn connector(to: &Destination) -> Result<HttpsConnector<HttpConnector>, String> {
    let mut roots = RootCertStore::empty();
    if to.endpoint.starts_with("https://") {
        let certificates: Vec<CertificateDer<'static>> = match &to.certificate {
            Some(path) => CertificateDer::pem_slice_iter(&read(path)?)
                .collect::<Result<_, _>>()
                .map_err(|error| format!("{} holds no certificates: {error}", path.display()))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(wrong(
                to,
                "there is no certificate to trust; check OTEL_EXPORTER_OTLP_CERTIFICATE",
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(to, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build())
}

/// Who the signals come from.
pub fn resource(to: &Destination) -> Resource {
    let interpreter = frame::interpreter();
    let given = to
        .resource
        .iter()
        .map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.distro.name", "aerospike-py"),
            KeyValue::new("telemetry.distro.version", interpreter.client_version),
            KeyValue::new("service.instance.id", frame::instance()),
            KeyValue::new("host.name", frame::host()),
            KeyValue::new("process.pid", i64::from(std::process::id())),
            KeyValue::new("process.runtime.name", interpreter.python_implementation),
            KeyValue::new("process.runtime.version", interpreter.python_version),
        ])
        .with_attributes(given)
        .with_service_name(to.service_name.clone())
        .build()
}
