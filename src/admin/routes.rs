//! Every path of the admin API. A new one is a line in [`router`], a handler, and its description in `openapi.json`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use super::answers;
use super::model::{self, Ended, Filter};
use super::problem::Problem;
use super::query::{Query, Wanted, show_cursor};
use super::{explain, text, trace};
use crate::explain::RealmRules;
use crate::metrics::{Page, TEXT_FORMAT};
use crate::net::{Cursor, Observer};
use crate::turn::MAX_PAGE;

/// The description of it all (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("openapi.json");

/// Every path.
pub(super) fn router(asked: Arc<Asked>) -> Router {
    Router::new()
        .route("/v1/server", get(server))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/end", post(end_all))
        .route("/v1/sessions/{id}", get(session).delete(end))
        .route("/v1/sessions/{id}/trace", get(trace::follow))
        .route("/v1/explain/peer", get(explain::peer))
        .route("/v1/explain/username", post(explain::username))
        .route("/v1/explain/code", get(explain::code))
        .route("/v1/metrics", get(metrics))
        .route("/v1/openapi.json", get(openapi))
        .fallback(async || {
            let detail =
                "There is nothing at this path: GET /v1/openapi.json describes what there is.";
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
        .method_not_allowed_fallback(async || {
            let detail = "Use one of the methods in the Allow header.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(asked)
}

/// Whom the handlers ask.
pub(super) struct Asked {
    pub(super) observer: Observer,
    page: Page,
    /// What is to be told of each realm, the default one first.
    pub(super) rules: Vec<RealmRules>,
    /// Places for questions: whoever asks waits for workers, on a thread of its own.
    asking: Arc<Semaphore>,
    /// Places for those who follow a session.
    pub(super) following: Arc<Semaphore>,
}

impl Asked {
    pub(super) fn new(observer: Observer, page: Page, rules: Vec<RealmRules>) -> Self {
        Self {
            observer,
            page,
            rules,
            asking: Arc::new(Semaphore::new(AT_A_TIME)),
            following: Arc::new(Semaphore::new(trace::AT_A_TIME)),
        }
    }

    /// Has a question asked by a thread that may wait. A bounded number is asked at a time; others wait for their turn.
    pub(super) async fn ask<T: Send + 'static>(
        self: Arc<Self>,
        question: impl FnOnce(&Asked) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        // An error would mean that it was closed, which nobody does.
        let place = Arc::clone(&self.asking).acquire_owned().await;
        let answer = tokio::task::spawn_blocking(move || {
            // It is kept by whoever waits, although the client may be gone.
            let _place = place;
            question(&self)
        })
        .await;
        answer.unwrap_or_else(|_| {
            let detail = "The question could not be asked: see the server's log.";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        })
    }
}

pub(super) type At = State<Arc<Asked>>;

async fn server(State(asked): At) -> Result<Response, Problem> {
    let server = asked.ask(|asked| Ok(answers::server(&asked.observer)?));
    Ok(json(server.await?))
}

async fn sessions(State(asked): At, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(uri.query())?;
    let page = asked.ask(move |asked| page(&asked.observer, query));
    Ok(json(page.await?))
}

/// Looks at a bounded number of sessions for those that are wanted.
fn page(observer: &Observer, query: Query) -> Result<model::Sessions, Problem> {
    let Query {
        limit,
        from,
        wanted,
    } = query;
    let mut found = Vec::new();
    let mut next = Some(from);
    for _ in 0..PAGES {
        let Some(cursor) = next.filter(|_| found.len() < limit) else {
            break;
        };
        let page = observer.sessions(cursor, limit - found.len())?;
        let sessions = page.sessions.into_iter();
        found.extend(sessions.filter(|session| wanted.is(session)));
        next = page.next;
    }
    Ok(model::Sessions {
        sessions: found.into_iter().map(answers::session).collect(),
        next: next.map(show_cursor),
    })
}

async fn session(State(asked): At, id: Named) -> Result<Response, Problem> {
    let id = number(id)?;
    let session = asked.ask(move |asked| Ok(asked.observer.session(id)?));
    let session = session.await?.ok_or_else(|| Problem::no_session(id))?;
    Ok(json(answers::session(session)))
}

async fn end(State(asked): At, id: Named) -> Result<Response, Problem> {
    let id = number(id)?;
    match asked.ask(move |asked| Ok(asked.observer.end(id)?)).await? {
        true => {
            tracing::info!(allocation = id, "an operator has ended a session");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        false => Err(Problem::no_session(id)),
    }
}

/// A session as a path names it.
pub(super) type Named = Result<Path<String>, PathRejection>;

pub(super) fn number(id: Named) -> Result<u64, Problem> {
    let number = id.ok().and_then(|Path(id)| id.parse().ok());
    let number = number.filter(|id| *id > 0);
    number.ok_or_else(|| Problem::bad("A session is named by its number, which is above 0."))
}

/// A body, unless it is too long or ends too early.
pub(super) type Sent = Result<Bytes, BytesRejection>;

pub(super) fn body(sent: Sent) -> Result<Bytes, Problem> {
    sent.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("A body has {MAX_BODY} bytes at most.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        _ => Problem::bad("The body has not come whole."),
    })
}

async fn end_all(State(asked): At, sent: Sent) -> Result<Response, Problem> {
    let filter: Filter = serde_json::from_slice(&body(sent)?).map_err(|error| {
        Problem::bad(format!(
            "The body is no filter such as {{\"user\":\"alice\"}} with user, realm or client: {error}."
        ))
    })?;
    if filter.is_empty() {
        return Err(Problem::bad(
            "An empty filter would end every session: give user, realm or client.",
        ));
    }
    let ended = asked.ask(move |asked| end_wanted(&asked.observer, &filter.into()));
    let ended = ended.await?;
    tracing::info!(ended, "an operator has ended the sessions of a filter");
    Ok(json(Ended { ended }))
}

/// Ends those that are wanted, page by page. Those that are opened meanwhile may be passed over.
fn end_wanted(observer: &Observer, wanted: &Wanted) -> Result<u64, Problem> {
    let mut ended = 0;
    let mut step = |cursor: Cursor| {
        let page = observer.sessions(cursor, MAX_PAGE)?;
        for session in page.sessions.iter().filter(|session| wanted.is(session)) {
            ended += u64::from(observer.end(session.serial)?);
        }
        Ok::<_, crate::net::NoAnswer>(page.next)
    };
    let mut next = Some(Cursor::default());
    while let Some(cursor) = next {
        match step(cursor) {
            Ok(more) => next = more,
            Err(error) => {
                let Problem { status, detail } = Problem::from(error);
                let detail = format!("{detail} Until then {ended} were ended.");
                return Err(Problem { status, detail });
            }
        }
    }
    Ok(ended)
}

async fn metrics(State(asked): At) -> Result<Response, Problem> {
    let text = asked.ask(|asked| Ok(asked.page.text())).await?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub(super) fn json(answer: impl serde::Serialize) -> Response {
    match text::json(&answer) {
        Ok(json) => {
            let headers = [
                (CONTENT_TYPE, "application/json"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, json).into_response()
        }
        Err(error) => {
            let detail = format!("The answer cannot be written: {error}.");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}

/// Questions that are asked at a time.
const AT_A_TIME: usize = 4;
/// Pages of sessions that are looked at for one answer.
const PAGES: usize = 64;
/// The largest body.
const MAX_BODY: usize = 4 * 1024;
