//! What proves over the network that somebody may ask: a token that both sides have in a file (RFC 6750).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::auth::Secret;

/// The fewest characters of a token.
pub const MIN_TOKEN: usize = 32;

/// Lets a request pass that has the token.
pub(super) async fn guard(
    State(token): State<Arc<Secret>>,
    request: Request,
    next: Next,
) -> Response {
    if has_token(request.headers(), &token) {
        return next.run(request).await;
    }
    let detail = "Send the token of [admin.tcp] as `Authorization: Bearer TOKEN`.";
    let mut refused = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    let headers = refused.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    // Whoever has no token has no business with the connection either.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    refused
}

fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else {
        return false;
    };
    let Some((scheme, shown)) = only.as_bytes().split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(token.expose()))
}
