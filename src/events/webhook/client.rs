//! HTTP to a receiver: one POST at a time, without redirects, and with a bound on everything that the receiver decides.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::delivery::{Answer, Delivery, Post};
use crate::events::Webhook;

/// The most of an answer's body that is read, so that the connection can be used again.
const MOST_BODY: usize = 16 << 10;
/// How long a connection is kept for the next delivery.
const KEEP: Duration = Duration::from_secs(30);

/// Who vouches for a receiver's certificate.
#[derive(Clone)]
pub enum Authorities {
    /// Whom this system trusts.
    System,
    /// These alone.
    Own(Arc<RootCertStore>),
}

impl Authorities {
    /// Those of a PEM file; the error is half a sentence.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|error| format!("it is no PEM file: {error}"))?;
            roots
                .add(certificate)
                .map_err(|error| format!("it holds what is no certificate: {error}"))?;
        }
        match roots.is_empty() {
            true => Err("it holds no certificate".to_owned()),
            false => Ok(Self::Own(Arc::new(roots))),
        }
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, String> {
        match self {
            Self::Own(roots) => Ok(Arc::clone(roots)),
            Self::System => {
                let mut roots = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                match roots.is_empty() {
                    true => Err(
                        "this system has no list of certificate authorities: install ca-certificates, or set `ca`"
                            .to_owned(),
                    ),
                    false => Ok(Arc::new(roots)),
                }
            }
        }
    }
}

/// Speaks HTTP with one receiver.
pub(in crate::events) struct Client {
    client: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>,
    url: Uri,
    timeout: Duration,
}

impl Client {
    /// For a webhook. The error is one sentence. To be called within a runtime.
    pub(in crate::events) fn new(webhook: &Webhook) -> Result<Self, String> {
        let name = &webhook.name;
        let failed = |error: String| format!("the webhook `{name}` cannot be used: {error}");
        let url: Uri = (webhook.url.parse()).map_err(|error| failed(format!("{error}")))?;
        // Without TLS nobody vouches for anybody, and there may be no list.
        let roots = match url.scheme_str() {
            Some("http") => Arc::new(RootCertStore::empty()),
            _ => webhook.authorities.roots().map_err(failed)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self {
            client,
            url,
            timeout: webhook.timeout,
        })
    }

    async fn send(&self, delivery: Delivery) -> Result<(StatusCode, HeaderMap), String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("uturn/", env!("CARGO_PKG_VERSION")))
            .header("Uturn-Signature", delivery.signature)
            .header("Uturn-Delivery", delivery.number)
            .body(Body::from(Bytes::from(delivery.body)))
            .map_err(|error| error.to_string())?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| causes(&error))?;
        let (head, body) = response.into_parts();
        // What is longer, or breaks off, costs the connection alone: the status has been said.
        let _ = to_bytes(Body::new(body), MOST_BODY).await;
        Ok((head.status, head.headers))
    }
}

impl Post for Client {
    async fn post(&self, delivery: Delivery) -> Answer {
        match tokio::time::timeout(self.timeout, self.send(delivery)).await {
            Ok(Ok((status, headers))) => judge(status, &headers, SystemTime::now()),
            Ok(Err(why)) => Answer::Later(None, why),
            Err(_) => Answer::Later(None, "it did not answer in time".to_owned()),
        }
    }
}

/// What a status means. A redirect is not followed: the events are for who was configured.
fn judge(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Answer {
    let why = format!("it answered {}", status.as_u16());
    let is_temporary = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    match () {
        () if status.is_success() => Answer::Taken,
        () if is_temporary => Answer::Later(retry_after(headers, now), why),
        () => Answer::Never(why),
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// An error with what caused it: the outermost one alone says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn answered(status: u16, retry_after: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        judge(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [200, 202, 204] {
            assert_eq!(answered(status, ""), Answer::Taken);
        }
        for status in [429, 500, 502, 503] {
            assert!(matches!(answered(status, ""), Answer::Later(None, _)));
        }
        // A redirect is not followed.
        for status in [301, 307, 400, 401, 404, 410] {
            assert!(matches!(answered(status, "1"), Answer::Never(_)));
        }
    }

    #[test]
    fn a_receiver_says_seconds_or_a_date() {
        for (said, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            let Answer::Later(found, _) = answered(503, said) else {
                panic!("{said}");
            };
            assert_eq!(found, expected, "{said}");
        }
    }
}
