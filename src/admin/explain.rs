//! Why the server decides as it does: by the filter, the authenticator and the ports that its workers have.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::model::NameQuestion;
use super::problem::Problem;
use super::query;
use super::routes::{Asked, At, Sent, body, json};
use crate::auth::{Secret, UnixTime};
use crate::explain::{self, Deciders, RealmPlaces, RealmRules, Users};
use crate::net::{RealmDeciders, Relay};

/// What is to be told of each realm of a relay, the default one first, with the places of their rules as far as they are known.
pub fn rules_of(relay: &Relay, places: &[RealmPlaces]) -> Vec<RealmRules> {
    let default = (&relay.auth, &relay.admission.peers, &relay.admission.quotas);
    let named = relay
        .realms
        .iter()
        .map(|realm| (&realm.auth, &realm.peers, &realm.quotas));
    let places = places.iter().cloned();
    let places = places.chain(std::iter::repeat_with(RealmPlaces::default));
    std::iter::once(default)
        .chain(named)
        .zip(places)
        .map(|((auth, peers, quotas), places)| RealmRules::new(auth, peers, quotas, places))
        .collect()
}

impl Asked {
    /// The rules of a realm, or of the default one, and who decides by them.
    fn realm(&self, wanted: Option<&str>) -> Result<(&RealmRules, &RealmDeciders), Problem> {
        let mut all = self.rules.iter().zip(self.observer.realms());
        let found = all.find(|(rules, _)| wanted.is_none_or(|wanted| rules.realm() == wanted));
        found.ok_or_else(|| {
            let shown: String = wanted.unwrap_or_default().chars().take(64).collect();
            let detail = format!("This server has no realm `{shown}`.");
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
    }
}

pub(super) async fn peer(State(asked): At, uri: Uri) -> Result<Response, Problem> {
    let [address, realm] = query::parameters(uri.query(), ["address", "realm"])?;
    let wanted = address.as_deref().and_then(explain::peer_address);
    let (address, port): (IpAddr, Option<u16>) = wanted.ok_or_else(|| {
        Problem::bad(
            "Give `address`, an IP address or one with a port: 192.0.2.7, 192.0.2.7:5000 or [2001:db8::7]:5000.",
        )
    })?;
    let explained = asked.ask(move |asked| {
        let (rules, realm) = asked.realm(realm.as_deref())?;
        let relayed = asked.observer.relayed();
        let deciders = Deciders {
            filter: &realm.peers,
            relayed,
            ports: relayed.range(),
        };
        Ok(explain::peer(rules, &deciders, address, port))
    });
    Ok(json(explained.await?))
}

pub(super) async fn username(State(asked): At, sent: Sent) -> Result<Response, Problem> {
    // What serde says of a body may show what is in it, such as a password.
    let question: NameQuestion = serde_json::from_slice(&body(sent)?).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad(format!(
            "The body is no object such as {{\"name\":\"alice\"}} with name, and password, realm or at if they are wanted: \
             look at line {line}, column {column}."
        ))
    })?;
    let explained = asked.ask(move |asked| {
        let NameQuestion {
            name,
            password,
            realm,
            at,
        } = question;
        let (rules, realm) = asked.realm(realm.as_deref())?;
        let users = Users {
            authenticator: &realm.auth,
            quotas: Some(&realm.quotas),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = at.unwrap_or(now.unwrap_or_default().as_secs());
        let password = password.as_ref().map(Secret::expose);
        Ok(explain::username(
            rules,
            &users,
            &name,
            password,
            UnixTime(at),
        ))
    });
    Ok(json(explained.await?))
}

pub(super) async fn code(uri: Uri) -> Result<Response, Problem> {
    let [code] = query::parameters(uri.query(), ["code"])?;
    let code = code.ok_or_else(|| {
        Problem::bad("Give `code`, an error code such as 403 or a label such as peer_denied.")
    })?;
    match explain::codes(&code) {
        found if found.is_empty() => {
            let shown: String = code.chars().take(64).collect();
            let detail = format!("`{shown}` is neither an error code of this server nor a label.");
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
        found => Ok(json(found)),
    }
}
