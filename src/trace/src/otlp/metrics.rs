//! Sends metrics over either transport. OpenTelemetry's exporter takes only what its own instruments have measured, so
//! the messages of its protocol are sent as they are.

use std::io::Write;

use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request};
use opentelemetry_http::{Bytes, HttpClient as _};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::Extensions;

use crate::frame;
use crate::otlp::spans::SCOPE;
use crate::otlp::transport::{channel, headers, http_client, resource, wrong, HttpClient};
use crate::settings::{Destination, Transport};

/// Sends metrics to one destination.
pub struct Sender {
    resource: opentelemetry_sdk::Resource,
    scope: InstrumentationScope,
    way: Way,
}

enum Way {
    Grpc(Box<(MetricsServiceClient<Channel>, MetadataMap)>),
    Http(Box<HttpWay>),
}

struct HttpWay {
    client: HttpClient,
    endpoint: String,
    headers: HeaderMap,
    gzip: bool,
}

/// What a collector said of a request that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Points that it did not take all the same.
    pub rejected: u64,
    /// Why, or another remark.
    pub remark: String,
}

impl Sender {
    /// Makes a sender; within a Tokio runtime, on which it then works.
    ///
    /// # Errors
    /// What is wrong with the destination, in words.
    pub fn to(to: &Destination) -> Result<Sender, String> {
        let headers = headers(to)?;
        let way = match to.transport {
            Transport::Grpc => grpc(to, headers)?,
            Transport::Http => http(to, headers)?,
        };
        let scope = InstrumentationScope {
            name: SCOPE.to_owned(),
            version: frame::interpreter().client_version,
            ..InstrumentationScope::default()
        };
        Ok(Sender {
            resource: resource(to),
            scope,
            way,
        })
    }

    /// Sends metrics.
    ///
    /// # Errors
    /// Why the collector does not have them, in words.
    pub async fn send(&self, metrics: Vec<Metric>) -> Result<Taken, String> {
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some((&self.resource).into()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(self.scope.clone()),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let response = match &self.way {
            Way::Grpc(way) => {
                let (client, metadata) = &**way;
                let request =
                    tonic::Request::from_parts(metadata.clone(), Extensions::default(), request);
                let answer = client.clone().export(request).await;
                answer.map_err(|status| said(&status))?.into_inner()
            }
            Way::Http(way) => way.post(&request).await?,
        };
        Ok(response
            .partial_success
            .map(|partial| Taken {
                rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0),
                remark: partial.error_message,
            })
            .unwrap_or_default())
    }
}

fn grpc(to: &Destination, headers: HeaderMap) -> Result<Way, String> {
    let mut client = MetricsServiceClient::new(channel(to)?);
    if to.gzip {
        client = client
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
    }
    let metadata = MetadataMap::from_headers(headers);
    Ok(Way::Grpc(Box::new((client, metadata))))
}

fn http(to: &Destination, mut headers: HeaderMap) -> Result<Way, String> {
    let kind = HeaderValue::from_static("application/x-protobuf");
    headers.insert(CONTENT_TYPE, kind);
    if to.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    http::Uri::try_from(&to.endpoint).map_err(|error| wrong(to, error))?;
    Ok(Way::Http(Box::new(HttpWay {
        client: http_client(to)?,
        endpoint: to.endpoint.clone(),
        headers,
        gzip: to.gzip,
    })))
}

impl HttpWay {
    async fn post(
        &self,
        message: &ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, String> {
        let mut body = message.encode_to_vec();
        if self.gzip {
            body = compressed(&body).map_err(|error| error.to_string())?;
        }
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::try_from(&self.endpoint).map_err(|e| e.to_string())?;
        *request.headers_mut() = self.headers.clone();
        let answer = self.client.send_bytes(request).await;
        let answer = answer.map_err(|error| causes(&*error))?;
        if !answer.status().is_success() {
            return Err(format!("it answered with HTTP status {}", answer.status()));
        }
        // Some collectors answer with something else, or nothing; they have the metrics all the same.
        Ok(ExportMetricsServiceResponse::decode(answer.into_body()).unwrap_or_default())
    }
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn said(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{:?}: {}", status.code(), causes(source)),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// An error with what caused it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
