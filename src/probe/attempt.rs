//! One transport to one address: from the connection to the end of the allocation, each step timed.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, ProtocolVersion};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::client::{Client, Outcome};
use super::dtls::Secured;
use super::link::{Link, Stream};
use super::plan::{Door, Plan};
use super::report::{
    Attempt, RelayRange, Step as Done, StepName, TlsSession, Trouble, TroubleKind,
};
use super::tls::Tls;
use super::transport::Transport;
use super::{certificate, explain, relaying};
use crate::load::session::Step;

/// What all attempts have in common.
pub(super) struct Course {
    pub(super) plan: Plan,
    pub(super) tls: Option<Tls>,
    /// Turns at having allocations: a user's quota may be small.
    pub(super) turns: Semaphore,
    /// Whether nothing is waited for any more but what need not be there.
    pub(super) is_over: watch::Sender<bool>,
}

impl Course {
    pub(super) fn new(plan: &Plan, tls: Option<Tls>) -> Self {
        Self {
            plan: plan.clone(),
            tls,
            turns: Semaphore::new(AT_ONCE),
            is_over: watch::Sender::new(false),
        }
    }
}

/// Goes as far as the server lets it; `number` is that of the attempt.
pub(super) async fn attempt(
    course: &Course,
    number: u32,
    door: Door,
    server: SocketAddr,
) -> Attempt {
    let mut found = Attempt::new(door.transport, server);
    let limit = LIMIT.max(4 * course.plan.timeout);
    if timeout(limit, go(course, number, &mut found))
        .await
        .is_err()
    {
        let name = match found.steps.last() {
            None => StepName::Connect,
            Some(step) => step.name,
        };
        found.steps.push(Done {
            name,
            ms: limit.as_secs_f64() * 1e3,
            trouble: Some(explain::trouble(
                TroubleKind::OutOfTime,
                "the time for this transport is up",
                "each answer came, but late; --timeout gives it longer",
            )),
        });
    }
    found
}

async fn go(course: &Course, number: u32, found: &mut Attempt) -> Option<()> {
    let mut client = connect(course, 2 * number, found).await?;
    bind(&mut client, found).await?;
    if !course.plan.target.relays {
        return None;
    }
    let turn = course.turns.acquire().await;
    let _turn = turn.expect("it is never closed");
    allocate(&mut client, found).await?;
    relaying::try_relay(course, number, &mut client, found).await;
    let released = client.ask(Step::Release, StepName::Release);
    if found.trouble().is_none() {
        step(found, StepName::Release, released).await?;
    } else {
        // What failed before is what is told; the server is left without the allocation all the same.
        let _ = released.await;
    }
    Some(())
}

/// Connects a client.
pub(super) async fn connect(course: &Course, number: u32, found: &mut Attempt) -> Option<Client> {
    let plan = &course.plan;
    let link = match found.transport {
        Transport::Udp => match Link::udp(plan.source, found.server).await {
            Ok(link) => link,
            Err(error) => {
                let trouble = explain::socket(StepName::Binding, &error);
                found.push(StepName::Binding, Duration::ZERO, Some(trouble));
                return None;
            }
        },
        Transport::Tcp => Link::Stream(Box::new(stream(course, found).await?)),
        Transport::Tls => Link::Stream(Box::new(secure(course, found).await?)),
        Transport::Dtls => Link::Dtls(Box::new(secure_datagrams(course, number, found).await?)),
    };
    found.local = link.local_addr();
    let credentials = plan.credentials.as_ref();
    let transport = found.transport;
    Some(Client::new(
        link,
        transport,
        credentials,
        number,
        plan.timeout,
    ))
}

async fn stream(course: &Course, found: &mut Attempt) -> Option<Stream> {
    let plan = &course.plan;
    let (server, transport) = (found.server, found.transport);
    let name = StepName::Connect;
    let connected = async {
        match timeout(plan.timeout, Link::tcp(plan.source, server)).await {
            Ok(stream) => stream.map_err(|error| explain::socket(name, &error)),
            Err(_) => Err(explain::no_answer(name, transport)),
        }
    };
    step(found, name, connected).await
}

async fn secure(course: &Course, found: &mut Attempt) -> Option<Stream> {
    let mut way = stream(course, found).await?;
    let started = Instant::now();
    let mut shaken = handshake(course, &mut way, ALPN).await;
    if let Err((_, true)) = shaken
        && let Some(again) = stream(course, &mut found.afresh()).await
    {
        way = again;
        shaken = handshake(course, &mut way, &[]).await;
    }
    let trouble = match shaken {
        Err((trouble, _)) => Some(trouble),
        Ok(session) => distrust(course, session, found),
    };
    let is_good = trouble.is_none();
    found.push(StepName::Tls, started.elapsed(), trouble);
    is_good.then_some(way)
}

/// A session of DTLS. On a host that was only named, it need not be there: it is not waited for when all else is known.
async fn secure_datagrams(course: &Course, number: u32, found: &mut Attempt) -> Option<Secured> {
    let name = StepName::Dtls;
    let plan = &course.plan;
    let tls = course.tls.as_ref().expect("doors of DTLS come with it");
    let started = Instant::now();
    let is_first = number.is_multiple_of(2);
    let may_be_absent = plan.target.is_bare && is_first;
    let given_up = may_be_absent.then(|| course.is_over.subscribe());
    let mut way = match Secured::open(plan.source, found.server, tls).await {
        Ok(way) => way,
        Err(error) => {
            found.push(name, started.elapsed(), Some(explain::socket(name, &error)));
            return None;
        }
    };
    let trouble = match timeout(plan.timeout, way.handshake(given_up)).await {
        Ok(Ok(())) => {
            let session = TlsSession {
                version: "DTLS 1.2".to_owned(),
                alpn: None,
                certificate: told(
                    way.certificates(),
                    tls.judge_chain(way.certificates()).err(),
                ),
            };
            distrust(course, session, found)
        }
        Ok(Err(error)) if error.kind() != ErrorKind::TimedOut => {
            Some(explain::socket(name, &error))
        }
        Ok(Err(_)) | Err(_) => Some(explain::no_session(way.is_heard(), way.is_answered())),
    };
    let is_good = trouble.is_none();
    found.push(name, started.elapsed(), trouble);
    is_good.then_some(way)
}

/// Notes what was agreed on, and why it is not to be trusted.
fn distrust(course: &Course, session: TlsSession, found: &mut Attempt) -> Option<Trouble> {
    let accepts = course.tls.as_ref().is_some_and(|tls| tls.accepts_anyone);
    let wrong = session.certificate.error.as_deref();
    let trouble = wrong.filter(|_| !accepts).map(explain::certificate);
    found.tls = Some(session);
    trouble
}

/// What is told of a certificate that was judged so.
fn told(chain: &[CertificateDer<'_>], error: Option<String>) -> super::Certificate {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs() as i64;
    let certificate = chain.first().map(|first| certificate::read(first, now));
    super::Certificate {
        error,
        ..certificate.unwrap_or_default()
    }
}

/// What was agreed on; or why nothing was, and whether it was for ALPN.
async fn handshake(
    course: &Course,
    stream: &mut Stream,
    protocols: &[&[u8]],
) -> Result<TlsSession, (Trouble, bool)> {
    let name = StepName::Tls;
    let tls = course.tls.as_ref().expect("doors of TLS come with it");
    let local = |error: rustls::Error| {
        let trouble = explain::trouble(
            TroubleKind::Local,
            &error.to_string(),
            "TLS cannot be set up on this host",
        );
        (trouble, false)
    };
    let (connection, judgement) = tls.connection(protocols).map_err(local)?;
    let agreed = match timeout(course.plan.timeout, stream.secure(connection)).await {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(error)) => {
            let inner = error.get_ref();
            let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let alert = AlertDescription::NoApplicationProtocol;
            let refuses_alpn =
                inner == Some(&rustls::Error::AlertReceived(alert)) && !protocols.is_empty();
            return Err((explain::socket(name, &error), refuses_alpn));
        }
        Err(_) => return Err((explain::no_answer(name, Transport::Tls), false)),
    };
    let chain = agreed.peer_certificates().unwrap_or_default();
    let wrong = judgement.get().and_then(|judged| judged.clone().err());
    Ok(TlsSession {
        version: match agreed.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
            _ => "another TLS".to_owned(),
        },
        alpn: agreed.alpn_protocol().map(super::text::printable),
        certificate: told(chain, wrong),
    })
}

/// Asks for a Binding. A server that refuses it may relay all the same.
async fn bind(client: &mut Client, found: &mut Attempt) -> Option<()> {
    let started = Instant::now();
    let outcome = client.ask(Step::Binding, StepName::Binding).await;
    found.note(client);
    match outcome {
        Err(trouble) if trouble.kind == TroubleKind::Code => found.aside.push(trouble),
        Err(trouble) => {
            found.push(StepName::Binding, started.elapsed(), Some(trouble));
            return None;
        }
        Ok(Outcome::Challenged) => {}
        Ok(Outcome::Done) => found.push(StepName::Binding, started.elapsed(), None),
    }
    Some(())
}

/// Asks for an allocation, of the server's address family if it can be had.
pub(super) async fn allocate(client: &mut Client, found: &mut Attempt) -> Option<()> {
    let started = Instant::now();
    client.session.relayed_v6 = found.server.is_ipv6();
    let mut outcome = client.ask(Step::Allocate, StepName::Allocate).await;
    if let (true, Err(trouble)) = (client.session.relayed_v6, &outcome)
        && matches!(trouble.code, Some(440 | 508))
    {
        found.aside.push(trouble.clone());
        client.session.relayed_v6 = false;
        outcome = client.ask(Step::Allocate, StepName::Allocate).await;
    }
    found.note(client);
    let (name, trouble) = match outcome {
        Ok(Outcome::Challenged) => (StepName::Challenge, None),
        Ok(Outcome::Done) => (StepName::Allocate, None),
        Err(trouble) => (StepName::Allocate, Some(trouble)),
    };
    let is_allocated = name == StepName::Allocate && trouble.is_none();
    found.relayed = client.session.relayed.filter(|_| is_allocated);
    found.push(name, started.elapsed(), trouble);
    is_allocated.then_some(())
}

/// Does a step, and notes how that went.
async fn step<T>(
    found: &mut Attempt,
    name: StepName,
    doing: impl Future<Output = Result<T, Trouble>>,
) -> Option<T> {
    let started = Instant::now();
    let (done, trouble) = match doing.await {
        Ok(done) => (Some(done), None),
        Err(trouble) => (None, Some(trouble)),
    };
    found.push(name, started.elapsed(), trouble);
    done
}

impl Attempt {
    pub(super) fn new(transport: Transport, server: SocketAddr) -> Self {
        Self {
            transport,
            server,
            steps: Vec::new(),
            aside: Vec::new(),
            tls: None,
            local: None,
            mapped: None,
            software: None,
            realm: None,
            relayed: None,
            lifetime_seconds: None,
            alternate_server: None,
            relay: None,
            relay_range: RelayRange::Untried,
            towards_relay: None,
        }
    }

    /// One to the same server of which nothing is known.
    pub(super) fn afresh(&self) -> Self {
        Self::new(self.transport, self.server)
    }

    pub(super) fn push(&mut self, name: StepName, took: Duration, trouble: Option<Trouble>) {
        let ms = took.as_secs_f64() * 1e3;
        self.steps.push(Done { name, ms, trouble });
    }

    fn note(&mut self, client: &Client) {
        let said = client.said.clone();
        self.mapped = said.mapped;
        self.software = said.software;
        self.realm = said.realm;
        self.lifetime_seconds = said.lifetime;
        self.alternate_server = said.alternate_server;
    }
}

/// Attempts that have allocations at the same time: two each.
const AT_ONCE: usize = 2;
/// Of an attempt, whatever the server does.
const LIMIT: Duration = Duration::from_secs(12);
/// RFC 7443. Some servers speak HTTPS on the same port and need it, browsers offer none.
const ALPN: &[&[u8]] = &[b"stun.turn"];
