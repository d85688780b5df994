//! Following one session: what its worker sees of it, as lines of JSON.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::answers;
use super::model::TraceLine;
use super::problem::Problem;
use super::routes::{At, Named, number};
use super::text;
use crate::net::Watcher;
use crate::turn::{Direction, NotWatched, Outcome, Seen, Traced};

/// Sessions that are followed at a time.
pub(super) const AT_A_TIME: usize = 4;
/// Lines that wait for a reader: more are lost, and counted.
const WAITING: usize = 256;
/// An empty line shows that a connection is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// `GET /v1/sessions/{id}/trace`.
pub(super) async fn follow(State(asked): At, id: Named) -> Result<Response, Problem> {
    let id = number(id)?;
    let place = asked.following.clone().try_acquire_owned();
    let place = place.map_err(|_| too_many())?;
    let (lines, waiting) = channel(WAITING);
    let began = Instant::now();
    let session = asked.ask(move |asked| {
        let watched = asked.observer.watch(id, Lines(lines))?;
        watched.map_err(|why| not_watched(id, why))?;
        Ok(asked.observer.session(id)?)
    });
    // One that has ended in between has told so already.
    let first = session.await?.map(|session| TraceLine::Began {
        at: 0.0,
        session: Box::new(answers::session(session)),
    });
    let mut signs = interval(SIGN_OF_LIFE);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let followed = Followed {
        first,
        waiting,
        began,
        signs,
        _place: place,
    };
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::new(followed)).into_response())
}

fn too_many() -> Problem {
    let detail = format!("{AT_A_TIME} sessions are followed at a time: end one of them first.");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

fn not_watched(id: u64, why: NotWatched) -> Problem {
    match why {
        NotWatched::NoAllocation => Problem::no_session(id),
        NotWatched::Watched => {
            let detail = format!("Somebody else follows session {id} already.");
            Problem::new(StatusCode::CONFLICT, detail)
        }
        NotWatched::TooMany => too_many(),
    }
}

/// Where the worker puts lines.
struct Lines(Sender<Traced>);

impl Watcher for Lines {
    fn tell(&mut self, line: Traced) -> bool {
        self.0.try_send(line).is_ok()
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// The body of an answer that goes on. With it the worker's watch ends.
struct Followed {
    first: Option<TraceLine>,
    waiting: Receiver<Traced>,
    began: Instant,
    signs: Interval,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Followed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |line: Vec<u8>| Poll::Ready(Some(Ok(Frame::data(line.into()))));
        if let Some(first) = self.first.take() {
            // The first sign of life is due at once, and this is one.
            self.signs.reset();
            return frame(written(&first));
        }
        match self.waiting.poll_recv(context) {
            Poll::Ready(Some(line)) => {
                let line = line_of(line, self.began);
                return frame(written(&line));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        match self.signs.poll_tick(context) {
            Poll::Ready(_) => frame(b"\n".to_vec()),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn written(line: &TraceLine) -> Vec<u8> {
    let text = text::json(line).unwrap_or_default();
    (text + "\n").into_bytes()
}

fn line_of(line: Traced, began: Instant) -> TraceLine {
    let at = line.at.saturating_duration_since(began).as_secs_f64();
    match line.what {
        Seen::Request {
            method,
            outcome,
            lifetime,
            peers,
            channel,
        } => {
            let (outcome, code, reason) = match outcome {
                Outcome::Success => ("success", None, None),
                Outcome::Refused { code, reason } => ("refused", Some(code), Some(reason)),
                Outcome::Waiting => ("waiting", None, None),
                Outcome::NotAnswered => ("not_answered", None, None),
            };
            TraceLine::Request {
                at,
                method: method.label().to_owned(),
                outcome: outcome.to_owned(),
                code,
                reason: reason.map(str::to_owned),
                lifetime: lifetime.map(|lifetime| lifetime.as_secs_f64()),
                peers,
                channel,
            }
        }
        Seen::Packet {
            direction,
            peer,
            len,
            channel,
        } => TraceLine::Packet {
            at,
            direction: way(direction),
            peer,
            length: len as u64,
            channel,
        },
        Seen::Icmp { peer, icmp } => TraceLine::Icmp {
            at,
            peer,
            r#type: icmp.typ,
            code: icmp.code,
        },
        Seen::Dropped {
            direction,
            reason,
            peer,
        } => TraceLine::Dropped {
            at,
            direction: way(direction),
            reason: reason.label().to_owned(),
            peer,
        },
        Seen::Skipped(lines) => TraceLine::Skipped { at, lines },
        Seen::Ended(reason) => TraceLine::Ended {
            at,
            reason: reason.label().to_owned(),
        },
    }
}

fn way(direction: Direction) -> String {
    match direction {
        Direction::ToPeer => "to_peer",
        Direction::ToClient => "to_client",
    }
    .to_owned()
}
