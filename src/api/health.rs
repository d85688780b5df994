//! `/healthz` and `/readyz`: for load balancers and supervisors, without authentication.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
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

fn report(status: StatusCode, word: &str) -> impl IntoResponse + use<> {
    let body = Json(json!({ "status": word }));
    (status, [(CACHE_CONTROL, "no-store")], body)
}
