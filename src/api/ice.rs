//! `/ice`: an RTCConfiguration that a page hands to `new RTCPeerConnection(…)` as it is
//! (W3C WebRTC §4.2.1).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;

use super::Api;
use super::credentials::{Issued, Issuer};
use super::parameters::IceTransportPolicy;
use super::proxies::Client;

/// Answers `GET` and `POST /ice`.
pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> impl IntoResponse {
    let answer = async {
        let asked = api.read(client, request).await?;
        asked.parameters.check_service(false)?;
        let ice_transport_policy = asked.parameters.ice_transport_policy()?;
        let issued = api.issue(&asked)?;
        Ok(Json(Configuration {
            ice_servers: servers(&api.issuer, issued),
            ice_transport_policy,
        }))
    };
    let answer = answer.await.map_err(|problem| api.refuse(client, problem));
    ([(CACHE_CONTROL, "no-store")], answer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    ice_servers: Vec<Server>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ice_transport_policy: Option<IceTransportPolicy>,
}

#[derive(Serialize)]
struct Server {
    urls: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    credential: Option<Credential>,
}

#[derive(Serialize)]
struct Credential {
    username: String,
    credential: String,
}

/// STUN, if any, stands apart: it needs no credential.
fn servers(issuer: &Issuer, issued: Issued) -> Vec<Server> {
    let stun = (!issuer.stun_uris().is_empty()).then(|| Server {
        urls: issuer.stun_uris().to_vec(),
        credential: None,
    });
    let turn = Server {
        urls: issuer.turn_uris().to_vec(),
        credential: Some(Credential {
            username: issued.username,
            credential: issued.password,
        }),
    };
    stun.into_iter().chain([turn]).collect()
}
