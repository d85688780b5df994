//! What went wrong, as problem details (RFC 9457) of one sentence.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{model, text};
use crate::net::NoAnswer;

/// A request that comes to nothing.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    /// A parameter or a body that cannot be used.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn no_session(id: u64) -> Self {
        let detail = format!("There is no session {id}: it has ended, or has never been.");
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        let detail = match error {
            NoAnswer::Late(worker) => {
                format!("Worker {worker} has not answered within two seconds; ask again.")
            }
            NoAnswer::Busy(worker) => {
                format!("Worker {worker} has as many questions as it may have; ask again.")
            }
            NoAnswer::Stopped => "The relay has stopped.".to_owned(),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = model::Problem {
            r#type: "about:blank".to_owned(),
            title: self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let body = text::json(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_answer_is_named() {
        for (error, says) in [
            (NoAnswer::Late(3), "Worker 3 has not answered"),
            (NoAnswer::Busy(0), "Worker 0 has as many questions"),
            (NoAnswer::Stopped, "The relay has stopped."),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(problem.detail.starts_with(says), "{}", problem.detail);
            let response = problem.into_response();
            let typ = &response.headers()[CONTENT_TYPE];
            assert_eq!(typ, "application/problem+json");
        }
    }
}
