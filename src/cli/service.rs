//! A relay with its HTTP interface, its events, its metrics and its admin API, from start to stop: what `serve` and `dev` have in common.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::explain::RealmRules;
use crate::net::{HttpConnection, HttpService, Listener};
use crate::{admin, api, events, metrics, net};

/// What runs: the relay, and the HTTP interface, the events, the metrics and the admin API if there are any.
pub(super) struct Service {
    relay: Arc<net::Running>,
    api: Option<api::Running>,
    events: Option<events::Running>,
    metrics: Option<metrics::Running>,
    admin: Option<admin::Running>,
}

impl Service {
    /// Starts the relay, then the HTTP interface that `api` describes once the relay's ports are known.
    ///
    /// With `serves_http`, that also answers clients that speak HTTP at the relay's shared listeners.
    ///
    /// If either cannot start, nothing is left running; the error is one sentence.
    pub fn start(
        mut relay: net::Relay,
        serves_http: bool,
        api: impl FnOnce(&[Listener]) -> Option<api::Settings>,
    ) -> Result<Self, String> {
        let handed_over = serves_http.then(|| {
            let (hand_over, handed_over) = api::hand_over();
            relay.net.http = Some(HttpService::new(api::MAX_HANDED, move |connection| {
                let HttpConnection {
                    socket,
                    client,
                    is_encrypted,
                } = connection;
                hand_over.take(socket, client, is_encrypted)
            }));
            handed_over
        });
        let relay = Arc::new(net::start(relay).map_err(|error| error.to_string())?);
        let settings = api(relay.listeners());
        // The HTTP interface asks whether the relay is ready, but does not keep it alive.
        let asked = Arc::downgrade(&relay);
        let is_ready = move || asked.upgrade().is_some_and(|relay| relay.is_ready());
        match settings
            .map(|settings| api::start_with(settings, handed_over, is_ready))
            .transpose()
        {
            Ok(api) => Ok(Self {
                relay,
                api,
                events: None,
                metrics: None,
                admin: None,
            }),
            Err(error) => {
                stop_relay(relay);
                Err(error.to_string())
            }
        }
    }

    /// Passes on events, which the relay has been handing over since it started. On an error everything is stopped; it is one sentence.
    pub fn with_events(mut self, prepared: events::Prepared) -> Result<Self, String> {
        match prepared.start(self.relay.observer()) {
            Ok(running) => {
                self.events = Some(running);
                Ok(self)
            }
            Err(error) => {
                self.stop();
                Err(error)
            }
        }
    }

    /// Shows the metrics, too: those of the events as well, if there are any by now. On an error everything is stopped; it is one sentence.
    pub fn with_metrics(mut self, settings: metrics::Settings) -> Result<Self, String> {
        let issued = self.api.as_ref().map(api::Running::issued);
        let events = self.events.as_ref().map(events::Running::counts);
        match metrics::start(settings, self.relay.observer(), issued, events) {
            Ok(running) => {
                self.metrics = Some(running);
                Ok(self)
            }
            Err(error) => {
                self.stop();
                Err(error.to_string())
            }
        }
    }

    /// Answers operators, too. On an error everything is stopped; it is one sentence.
    pub fn with_admin(
        mut self,
        settings: admin::Settings,
        coturn_names: bool,
        rules: Vec<RealmRules>,
    ) -> Result<Self, String> {
        let issued = self.api.as_ref().map(api::Running::issued);
        let events = self.events.as_ref().map(events::Running::counts);
        let page = metrics::Page::new(self.relay.observer(), issued, events, coturn_names);
        match admin::start(settings, self.relay.observer(), page, rules) {
            Ok(running) => {
                self.admin = Some(running);
                Ok(self)
            }
            Err(error) => {
                self.stop();
                Err(error.to_string())
            }
        }
    }

    /// The admin API, where there is one.
    pub fn admin(&self) -> Option<&admin::Running> {
        self.admin.as_ref()
    }

    /// Where the metrics are shown.
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        (self.metrics.as_ref()).map_or(&[], metrics::Running::addresses)
    }

    /// Where clients are awaited.
    pub fn listeners(&self) -> &[Listener] {
        self.relay.listeners()
    }

    /// Where the HTTP interface listens.
    pub fn http_addresses(&self) -> &[SocketAddr] {
        self.api.as_ref().map_or(&[], api::Running::addresses)
    }

    /// Stops everything and waits for it.
    pub fn stop(self) {
        drop(self.metrics);
        if let Some(api) = self.api {
            api.stop();
        }
        stop_relay(self.relay);
        // Whoever follows a session is told of its end.
        drop(self.admin);
        // What ended with the relay is told as well.
        if let Some(events) = self.events {
            events.stop();
        }
    }
}

fn stop_relay(relay: Arc<net::Running>) {
    // Whoever still holds the relay is about to drop it, which stops it as well.
    if let Some(relay) = Arc::into_inner(relay) {
        relay.stop();
    }
}

/// The signals that the process answers.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which would end the process.
    pub fn take() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let taken = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        // Scripts that were written for coturn send these; by default they would end the process.
        let user_1 = signal(SignalKind::user_defined1())?;
        let user_2 = signal(SignalKind::user_defined2())?;
        drop(taken);
        Ok(Self {
            runtime,
            terminate,
            interrupt,
            hangup,
            user_1,
            user_2,
        })
    }

    /// Waits until the process is asked to end (SIGTERM, SIGINT); meanwhile tells the service manager that
    /// the service is alive.
    ///
    /// An error means that the relay has failed: the service manager is to start it anew.
    pub fn wait(&mut self, service: &Service) -> Result<(), String> {
        let Self {
            runtime,
            terminate,
            interrupt,
            hangup,
            user_1,
            user_2,
        } = self;
        runtime.block_on(async {
            let mut watchdog = watchdog();
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    _ = terminate.recv() => {
                        info!("SIGTERM: stopping");
                        return Ok(());
                    }
                    _ = interrupt.recv() => {
                        info!("SIGINT: stopping");
                        return Ok(());
                    }
                    _ = hangup.recv() => {
                        if let Some(events) = &service.events {
                            events.reopen();
                            info!("SIGHUP: files of events and usage are opened anew");
                        }
                        info!("SIGHUP: the configuration is read at start only; restart to change it");
                    }
                    _ = user_1.recv() => {
                        info!("SIGUSR1: there is no drain mode; stop handing this server out, and end it later");
                    }
                    _ = user_2.recv() => {
                        info!("SIGUSR2: certificates are read at start only; restart to change them");
                    }
                    _ = look.tick() => {
                        if !service.relay.is_ready() {
                            return Err("a worker of the relay has failed".to_owned());
                        }
                    }
                    () = tick(&mut watchdog) => tell(&[NotifyState::Watchdog]),
                }
            }
        })
    }
}

/// How often the relay is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ticks twice per period of the service manager's watchdog, if it has one.
fn watchdog() -> Option<tokio::time::Interval> {
    let period = sd_notify::watchdog_enabled()? / 2;
    Some(tokio::time::interval(period.max(Duration::from_millis(1))))
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Tells the service manager about a change, if there is a service manager.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot reach the service manager");
    }
}
