//! The thread between workers and receivers: it makes lines, looks at limits and certificates, and waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, interval_at};

use super::counts::{Counts, Sink, add};
use super::file::{self, LineFile};
use super::limits::Limits;
use super::record::{Body, Writer, listener};
use super::time::rfc3339;
use super::webhook::{Client, Queue, deliver};
use super::{Kinds, Settings, runtime};
use crate::net::{NoAnswer, Observer, Report, Told};

/// How often limits are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often certificates are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long before its end a certificate is told of, once a day.
const SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// Lines that may wait for the file, beside one for each allocation.
const LINES: usize = 16_384;
/// How long receivers have when the server stops.
const LAST: Duration = Duration::from_secs(3);

/// What passes events on, with the runtime that it runs in.
pub(super) struct Collector {
    runtime: Runtime,
    passing: Passing,
}

struct Passing {
    writer: Writer,
    counts: Arc<Counts>,
    file: Option<ToFile>,
    webhooks: Vec<(Kinds, Arc<Queue>)>,
    clients: JoinSet<()>,
    stopping: watch::Sender<bool>,
    /// Lost in the queue, and told.
    told_lost: u64,
    limits: Limits,
    /// When each certificate was last told of, in seconds since 1970.
    told_certificates: Vec<i64>,
}

struct ToFile {
    kinds: Kinds,
    lines: SyncSender<Arc<str>>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Collector {
    /// Opens the file, and makes the clients. The error is one sentence.
    pub(super) fn new(
        settings: Settings,
        writer: Writer,
        counts: Arc<Counts>,
        reopen: Arc<AtomicU64>,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start to pass on events: {error}");
        let runtime = runtime().map_err(failed)?;
        let (stopping, is_stopping) = watch::channel(false);
        let (mut webhooks, mut clients) = (Vec::new(), JoinSet::new());
        let entered = runtime.enter();
        for webhook in &settings.webhooks {
            let queue = Arc::new(Queue::new(&webhook.name, Arc::clone(&counts)));
            let client = Client::new(webhook)?;
            clients.spawn(deliver(
                Arc::clone(&queue),
                client,
                webhook.secret.clone(),
                writer.clone(),
                is_stopping.clone(),
            ));
            webhooks.push((webhook.kinds, queue));
        }
        drop(entered);
        let room = settings.allocations + LINES;
        let file = settings.file.map(|settings| {
            let (writer, counts) = (writer.clone(), Arc::clone(&counts));
            ToFile::start(settings.kinds, room, move |lines| {
                // Here, as even to open it may take its time.
                let file = LineFile::new(&settings.path, "events", reopen);
                file::run(lines, file, &writer, &counts);
            })
        });
        let passing = Passing {
            writer,
            counts,
            file: file.transpose().map_err(failed)?,
            webhooks,
            clients,
            stopping,
            told_lost: 0,
            limits: Limits::default(),
            told_certificates: Vec::new(),
        };
        Ok(Self { runtime, passing })
    }

    /// Passes on what is told, until it is stopped: then what has been told before.
    pub(super) fn run(
        self,
        told: mpsc::Receiver<Told>,
        observer: Observer,
        stop: oneshot::Receiver<()>,
    ) {
        let Self {
            runtime,
            mut passing,
        } = self;
        runtime.block_on(passing.pass_on(told, &observer, stop));
        // Looking a name up may still be underway.
        runtime.shutdown_background();
    }
}

impl Passing {
    async fn pass_on(
        &mut self,
        mut told: mpsc::Receiver<Told>,
        observer: &Observer,
        mut stop: oneshot::Receiver<()>,
    ) {
        let began = Instant::now();
        self.tell_of_start(observer);
        self.tell_of_certificates(observer);
        let wants_limits = self.kinds().limits;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first = tokio::time::Instant::now() + CERTIFICATES_EVERY;
        let mut certificates = interval_at(first, CERTIFICATES_EVERY);
        let mut asked = JoinSet::new();
        loop {
            tokio::select! {
                it = told.recv() => match it {
                    Some(it) => self.take(&it),
                    None => break,
                },
                _ = &mut stop => break,
                _ = look.tick() => {
                    self.note_waiting(told.len());
                    self.tell_of_lost();
                    if wants_limits && asked.is_empty() {
                        let observer = observer.clone();
                        // Workers are waited for.
                        asked.spawn_blocking(move || observer.reports());
                    }
                }
                Some(Ok(reports)) = asked.join_next() => self.tell_of_limits(&reports),
                _ = certificates.tick() => self.tell_of_certificates(observer),
            }
        }
        told.close();
        while let Ok(it) = told.try_recv() {
            self.take(&it);
        }
        self.tell_of_lost();
        let seconds = began.elapsed().as_secs();
        self.tell(|kinds| kinds.server, Body::ServerStopped { seconds });
        self.finish().await;
    }

    /// Everything that somebody wants.
    fn kinds(&self) -> Kinds {
        let of_webhooks = self.webhooks.iter().map(|(kinds, _)| *kinds);
        let of_file = self.file.iter().map(|file| file.kinds);
        of_webhooks.chain(of_file).fold(Kinds::default(), Kinds::or)
    }

    fn take(&self, told: &Told) {
        let line = self.writer.told(told);
        self.give(|kinds| kinds.want(&told.what), &line);
    }

    fn tell(&self, wants: impl Fn(Kinds) -> bool, body: Body<'_>) {
        self.give(wants, &self.writer.line(SystemTime::now(), body));
    }

    /// Gives a line to everybody who wants it.
    fn give(&self, wants: impl Fn(Kinds) -> bool, line: &Arc<str>) {
        if let Some(file) = self.file.as_ref().filter(|file| wants(file.kinds)) {
            file.give(Arc::clone(line), &self.counts);
        }
        for (_, queue) in self.webhooks.iter().filter(|(kinds, _)| wants(*kinds)) {
            queue.push(Arc::clone(line));
        }
    }

    fn tell_of_start(&mut self, observer: &Observer) {
        let listeners = observer.listeners().iter().map(listener).collect();
        let body = Body::ServerStarted {
            version: env!("CARGO_PKG_VERSION"),
            workers: observer.workers(),
            listeners,
        };
        self.tell(|kinds| kinds.server, body);
    }

    fn note_waiting(&self, events: usize) {
        if let Some(counts) = self.counts.of(Sink::Queue) {
            counts.queued.store(events as u64, Ordering::Relaxed);
        }
    }

    /// Says to everybody that something did not even come here.
    fn tell_of_lost(&mut self) {
        let lost = self
            .counts
            .of(Sink::Queue)
            .map_or(0, |counts| counts.lost());
        let count = lost - self.told_lost;
        if count > 0 {
            self.told_lost = lost;
            tracing::warn!(
                count,
                "events were lost: they came faster than they were taken"
            );
            self.tell(|_| true, Body::EventsLost { count });
        }
    }

    fn tell_of_limits(&mut self, reports: &[Result<Report, NoAnswer>]) {
        let reports = reports.iter().map(|report| report.as_ref().ok());
        for (limit, count) in self.limits.reached(reports) {
            self.tell(|kinds| kinds.limits, Body::LimitReached { limit, count });
        }
    }

    fn tell_of_certificates(&mut self, observer: &Observer) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs() as i64;
        for (at, certificate) in observer.certificates().iter().enumerate() {
            if self.told_certificates.len() <= at {
                self.told_certificates.push(i64::MIN);
            }
            let told = self.told_certificates[at];
            let Some(not_after) = certificate.not_after else {
                continue;
            };
            if not_after - now > SOON || told.saturating_add(DAY) > now {
                continue;
            }
            self.told_certificates[at] = now;
            let ends = Duration::from_secs(u64::try_from(not_after).unwrap_or_default());
            let body = Body::CertificateEndsSoon {
                certificate: &certificate.name,
                not_after: rfc3339(UNIX_EPOCH + ends),
                days: (not_after - now).div_euclid(DAY),
            };
            self.tell(|kinds| kinds.server, body);
        }
    }

    /// Waits for the receivers, but not for long.
    async fn finish(&mut self) {
        self.webhooks.iter().for_each(|(_, queue)| queue.close());
        // Nobody listens where there is no webhook.
        let _ = self.stopping.send(true);
        let file = self.file.take();
        let file_ended = async {
            if let Some(ToFile { lines, ended, .. }) = file {
                drop(lines);
                let wait = tokio::task::spawn_blocking(move || ended.recv_timeout(LAST));
                if let Ok(Err(RecvTimeoutError::Timeout)) = wait.await {
                    tracing::warn!(
                        "the file of events was not written to its end before the server stopped"
                    );
                }
            }
        };
        let all = async { while self.clients.join_next().await.is_some() {} };
        let _ = tokio::join!(file_ended, tokio::time::timeout(LAST, all));
        self.clients.abort_all();
        for (_, queue) in &self.webhooks {
            let events = queue.give_up();
            if events > 0 {
                tracing::warn!(
                    events,
                    "events were not delivered before the server stopped"
                );
            }
        }
    }
}

impl ToFile {
    /// Starts the thread, which does this `work`; there is `room` for so many lines that wait.
    fn start(
        kinds: Kinds,
        room: usize,
        work: impl FnOnce(&Receiver<Arc<str>>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (lines, written) = sync_channel(room);
        let (end, ended) = std::sync::mpsc::channel();
        let thread = thread::Builder::new()
            .name("uturn-events-file".to_owned())
            .spawn(move || {
                // Dropped when the thread ends, however it does.
                let _end: std::sync::mpsc::Sender<()> = end;
                work(&written);
            })?;
        Ok(Self {
            kinds,
            lines,
            ended,
            _thread: thread,
        })
    }

    /// A file system may be slow: what it has no time for is lost.
    fn give(&self, line: Arc<str>, counts: &Counts) {
        let Some(counts) = counts.of(Sink::File) else {
            return;
        };
        // Before it is sent, or it could be taken off first.
        add(&counts.queued, 1);
        if self.lines.try_send(line).is_err() {
            counts.queued.fetch_sub(1, Ordering::Relaxed);
            add(&counts.lost, 1);
        }
    }
}
