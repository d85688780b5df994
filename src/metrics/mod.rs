//! Prometheus metrics: what the relay has counted, as text that a monitoring system collects.
//!
//! `snapshot` asks the workers when a page is asked for, `page` and `coturn` make it of the answers, in the text format of
//! `exposition`; `families` has every name with its meaning. Labels never say what a client has chosen, so that nobody can make
//! the page grow. Start at [`start`].

mod coturn;
mod exposition;
mod families;
mod page;
mod snapshot;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::api::{self, Bounds, IssuedCounts, Served, StartError};
use crate::events;
use crate::net::Observer;
pub use exposition::CONTENT_TYPE as TEXT_FORMAT;
use exposition::Exposition;
use snapshot::{Snapshot, Sources};

/// Pages that are made at a time: others wait.
const AT_A_TIME: usize = 2;

/// What the metrics need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// TCP addresses at which they are shown, to everybody who reaches one.
    pub listen: Vec<SocketAddr>,
    /// The path of the page.
    pub path: String,
    /// Whether coturn's names are shown as well, for dashboards that know them.
    pub coturn_names: bool,
}

/// The page as text, for whoever else shows it. Making it waits for workers, two seconds at most.
pub struct Page {
    sources: Sources,
    coturn_names: bool,
}

impl Page {
    /// Of a relay, and of the HTTP interface and the events beside it.
    pub fn new(
        observer: Observer,
        issued: Option<Arc<IssuedCounts>>,
        events: Option<Arc<events::Counts>>,
        coturn_names: bool,
    ) -> Self {
        Self {
            sources: Sources::new(observer, issued, events),
            coturn_names,
        }
    }

    /// Makes it.
    pub fn text(&self) -> String {
        text(&self.sources.collect(), self.coturn_names)
    }
}

/// The page, shown until this is dropped.
pub struct Running(Served);

impl Running {
    /// The addresses that were bound (a configured port 0 is replaced).
    pub fn addresses(&self) -> &[SocketAddr] {
        self.0.addresses()
    }
}

/// Shows the metrics of a relay, and of the HTTP interface and the events beside it, by a thread of its own.
pub fn start(
    settings: Settings,
    observer: Observer,
    issued: Option<Arc<IssuedCounts>>,
    events: Option<Arc<events::Counts>>,
) -> Result<Running, StartError> {
    let shown = Arc::new(Shown {
        path: settings.path,
        page: Page::new(observer, issued, events, settings.coturn_names),
        making: Arc::new(Semaphore::new(AT_A_TIME)),
    });
    let answer = move |method: Method, uri: Uri| {
        let shown = Arc::clone(&shown);
        async move { shown.answer(&method, &uri).await }
    };
    let router = Router::new().fallback(answer);
    api::serve("uturn-metrics", &settings.listen, router, Bounds::FEW).map(Running)
}

struct Shown {
    path: String,
    page: Page,
    making: Arc<Semaphore>,
}

impl Shown {
    async fn answer(self: Arc<Self>, method: &Method, uri: &Uri) -> Response {
        if uri.path() != self.path {
            let hint = format!("The metrics are at {}\n", self.path);
            return (StatusCode::NOT_FOUND, hint).into_response();
        }
        if method != Method::GET {
            let allow = [(ALLOW, "GET")];
            return (StatusCode::METHOD_NOT_ALLOWED, allow, "Use GET.\n").into_response();
        }
        // An error would mean that it was closed, which nobody does.
        let making = Arc::clone(&self.making).acquire_owned().await;
        // Workers are waited for, and the place is kept although the client may be gone.
        let made = tokio::task::spawn_blocking(move || {
            let _making = making;
            self.page.text()
        });
        match made.await {
            Ok(page) => ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], page).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The whole page.
fn text(shown: &Snapshot, coturn_names: bool) -> String {
    let mut page = Exposition::default();
    page::add(&mut page, shown);
    if coturn_names {
        coturn::add(&mut page, shown);
    }
    page.finish()
}

#[cfg(test)]
mod tests;
