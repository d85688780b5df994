//! Which sessions are asked for, and from where on.

use std::net::IpAddr;

use super::model::Filter;
use super::problem::Problem;
use crate::api::form;
use crate::net::Cursor;
use crate::turn::{MAX_PAGE, Session, Transport};

/// What `GET /v1/sessions` is asked.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) limit: usize,
    pub(super) from: Cursor,
    pub(super) wanted: Wanted,
}

/// Which sessions are meant.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    user: Option<String>,
    realm: Option<String>,
    client: Option<IpAddr>,
    transport: Option<Transport>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let names = ["limit", "cursor", "user", "realm", "client", "transport"];
        let [limit, from, user, realm, client, transport] = parameters(query, names)?;
        Ok(Self {
            limit: limit.map_or(Ok(MAX_PAGE), |text| parse_limit(&text))?,
            from: from.map_or(Ok(Cursor::default()), |text| parse_cursor(&text))?,
            wanted: Wanted {
                user,
                realm,
                client: client.map(|text| parse_address(&text)).transpose()?,
                transport: transport.map(|text| parse_transport(&text)).transpose()?,
            },
        })
    }
}

/// The parameters of these names, each at most once, and no others.
pub(super) fn parameters<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    let pairs = form(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| Problem::bad("The query cannot be decoded: percent-encode it as UTF-8."))?;
    let mut found = [const { None }; N];
    for (name, value) in pairs {
        let Some(at) = names.iter().position(|known| *known == name) else {
            let shown: String = name.chars().take(64).collect();
            let known = match names.split_last() {
                Some((last, [])) => (*last).to_owned(),
                Some((last, others)) => format!("{} and {last}", others.join(", ")),
                None => "none".to_owned(),
            };
            return Err(Problem::bad(format!(
                "There is no parameter `{shown}`: use {known}."
            )));
        };
        if found[at].replace(value).is_some() {
            return Err(Problem::bad(format!("`{name}` is given twice.")));
        }
    }
    Ok(found)
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let number = text.parse().ok();
    number
        .filter(|limit| (1..=MAX_PAGE).contains(limit))
        .ok_or_else(|| Problem::bad(format!("`limit` is a whole number from 1 to {MAX_PAGE}.")))
}

fn parse_address(text: &str) -> Result<IpAddr, Problem> {
    text.parse()
        .map_err(|_| Problem::bad("`client` is an IP address without a port."))
}

fn parse_transport(text: &str) -> Result<Transport, Problem> {
    let mut all = Transport::ALL.into_iter();
    all.find(|transport| transport.to_string() == text)
        .ok_or_else(|| Problem::bad("`transport` is udp, tcp, tls or dtls."))
}

/// A cursor as text. What it says is nobody else's business.
pub(super) fn show_cursor(cursor: Cursor) -> String {
    format!("{:x}-{:x}", cursor.worker, cursor.place)
}

fn parse_cursor(text: &str) -> Result<Cursor, Problem> {
    let parse = || {
        let (worker, place) = text.split_once('-')?;
        Some(Cursor {
            worker: u32::from_str_radix(worker, 16).ok()? as usize,
            place: u32::from_str_radix(place, 16).ok()?,
        })
    };
    parse().ok_or_else(|| Problem::bad("`cursor` is what an earlier answer had as `next`."))
}

impl From<Filter> for Wanted {
    fn from(filter: Filter) -> Self {
        let Filter {
            user,
            realm,
            client,
        } = filter;
        Self {
            user,
            realm,
            client,
            transport: None,
        }
    }
}

impl Wanted {
    pub(super) fn is(&self, session: &Session) -> bool {
        let five_tuple = &session.five_tuple;
        let is =
            |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
        let client = five_tuple.client.ip().to_canonical();
        is(&self.user, &session.user)
            && is(&self.realm, &session.realm)
            && (self.client).is_none_or(|wanted| wanted.to_canonical() == client)
            && (self.transport).is_none_or(|wanted| wanted == five_tuple.transport)
    }
}
