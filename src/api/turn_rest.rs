//! `/`: credentials in the shape of draft-uberti-behave-turn-rest-00 §2.2.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;

use super::Api;
use super::proxies::Client;

/// Answers `GET` and `POST /`.
pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> impl IntoResponse {
    let answer = async {
        let asked = api.read(client, request).await?;
        asked.parameters.check_service(true)?;
        let issued = api.issue(&asked)?;
        Ok(Json(Answer {
            username: issued.username,
            password: issued.password,
            ttl: issued.ttl,
            uris: api.issuer.turn_uris().to_vec(),
        }))
    };
    let answer = answer.await.map_err(|problem| api.refuse(client, problem));
    ([(CACHE_CONTROL, "no-store")], answer)
}

#[derive(Serialize)]
struct Answer {
    username: String,
    password: String,
    ttl: u64,
    /// RFC 7065 URIs only: the password is for these.
    uris: Vec<String>,
}
