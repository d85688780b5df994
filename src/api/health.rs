//! `/healthz` and `/readyz`: for load balancers and supervisors, without authentication.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONNECTION};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::json;

use super::Api;

/// Answers `/healthz`: the process runs.
pub(super) async fn alive() -> impl IntoResponse {
    report(StatusCode::OK, "ok")
}

/// Answers `/readyz`: whether new clients are welcome.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> impl IntoResponse {
    if (api.ready)() {
        report(StatusCode::OK, "ready")
    } else {
        report(StatusCode::SERVICE_UNAVAILABLE, "not ready")
    }
}

/// Whether a request is one for health, which says nothing that anyone else may not know.
pub(super) fn is_asked_for(uri: &Uri) -> bool {
    matches!(uri.path(), "/healthz" | "/readyz")
}

/// Refuses everything else where a client speaks in the clear to a listener that also speaks TLS. No redirect: the request may
/// have carried a key by now, and whoever wrote its URL is to notice.
pub(super) fn in_the_clear() -> impl IntoResponse {
    let headers = [(CACHE_CONTROL, "no-store"), (CONNECTION, "close")];
    (
        StatusCode::BAD_REQUEST,
        headers,
        "This port answers over https:// only.\n",
    )
}

fn report(status: StatusCode, word: &str) -> impl IntoResponse + use<> {
    let body = Json(json!({ "status": word }));
    (status, [(CACHE_CONTROL, "no-store")], body)
}
