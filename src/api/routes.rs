//! Paths to handlers, and what every handler shares.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::caller::Callers;
use super::credentials::Issuer;
use super::limits::Limits;
use super::origin::{self, Browsers};
use super::parameters::MAX_BODY;
use super::problem::{Kind, Problem};
use super::proxies::Client;
use super::{Settings, StartError, health, ice, turn_rest};

/// What every handler shares.
pub(super) struct Api {
    pub(super) callers: Callers,
    pub(super) browsers: Browsers,
    pub(super) limits: Limits,
    pub(super) issuer: Issuer,
    pub(super) ready: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Every path of the HTTP interface.
pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(turn_rest::answer).post(turn_rest::answer))
        .route("/ice", get(ice::answer).post(ice::answer))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async || {
            Problem::new(
                Kind::NotFound,
                "Credentials are at `/` and `/ice`, health at `/healthz` and `/readyz`.",
            )
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                Kind::MethodNotAllowed,
                "Use one of the methods in the Allow header.",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(api.clone(), origin::guard))
        .with_state(api)
}

impl Api {
    pub(super) fn new(
        settings: &Settings,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let callers = Callers::new(settings)?;
        Ok(Self {
            browsers: Browsers {
                origins: settings.origins.clone(),
                allow_loopback_origins: settings.allow_loopback_origins,
                loopback_host_only: callers.is_open(),
            },
            callers,
            limits: Limits::new(settings.per_address_per_minute, settings.per_key_per_minute),
            issuer: Issuer::new(settings),
            ready: Box::new(ready),
        })
    }

    /// Logs a refusal on its way out. What a client can cause without limit stays at DEBUG.
    pub(super) fn refuse(&self, Client(client): Client, problem: Problem) -> Problem {
        let reason = problem.detail();
        match problem.kind() {
            Kind::RateLimited => tracing::debug!(%client, reason, "HTTP request refused"),
            _ => {
                tracing::info!(reason, "HTTP request refused");
                tracing::debug!(%client, "the refused request's address");
            }
        }
        problem
    }
}
