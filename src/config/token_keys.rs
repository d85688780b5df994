//! `[[auth.token_keys]]` and what belongs to them: whose access tokens are taken (RFC 7635).

use super::api_keys::{SECRET_KEYS, source};
use super::credentials::one_of;
use super::problem::{Problem, Span};
use super::raw;
use super::secrets::{self, Use};
use super::surroundings::Surroundings;
use super::value::{At, Reader};
use crate::auth::{TokenKey, TokenKeys};

/// Turns the keys of access tokens into settings.
pub(super) fn check(auth: &raw::Auth, host: &Surroundings, reader: &mut Reader) -> TokenKeys {
    let written = &auth.token_keys.value;
    let keys: Vec<_> = written
        .iter()
        .filter_map(|key| Some((key.span.clone(), read(key, host, reader)?)))
        .collect();
    report_ambiguous(auth, &keys, reader);
    let name = auth.token_server_name.as_ref();
    if written.is_empty() {
        let idle = [
            name.and_then(|name| name.span.clone()),
            auth.token_integrity.span.clone(),
        ];
        for span in idle.into_iter().flatten() {
            let problem = Problem::warning(span, "this has no effect without [[auth.token_keys]]");
            reader.report(problem.help("add one, or remove this"));
        }
    }
    TokenKeys {
        // As coturn has it.
        server_name: name
            .map_or(&auth.realm.value.0, |name| &name.value.0)
            .clone(),
        keys: keys.into_iter().map(|(_, key)| key).collect(),
        integrity: auth.token_integrity.value,
    }
}

fn read(key: &At<raw::TokenKey>, host: &Surroundings, reader: &mut Reader) -> Option<TokenKey> {
    let raw::TokenKey {
        id,
        secret,
        secret_file,
        secret_env,
        not_before,
        not_after,
    } = &key.value;
    let written = [
        secret.is_some(),
        secret_file.is_some(),
        secret_env.is_some(),
    ];
    if let (Some(begin), Some(end)) = (not_before, not_after)
        && begin.value.0 > end.value.0
    {
        reader.report(
            Problem::error(end.span.clone(), "`not_after` comes before `not_before`")
                .also(begin.span.clone(), "not_before")
                .help("no token would ever be taken: put one of them right"),
        );
    }
    let id = one_of(("id", id.as_ref()), key, &written, SECRET_KEYS, reader)?;
    let text = source(secret, secret_file, secret_env)?.read(Use::TokenKey, host, reader)?;
    Some(TokenKey {
        id: id.value.0.clone(),
        // What is wrong with it has been reported.
        key: secrets::token_key(text.expose()).ok()?,
        not_before: not_before.as_ref().map(|at| at.value.0),
        not_after: not_after.as_ref().map(|at| at.value.0),
    })
}

/// One id is one key and one key has one id, so that no client can choose between them: a token under two ids would be two
/// users to the quotas.
fn report_ambiguous(auth: &raw::Auth, keys: &[(Option<Span>, TokenKey)], reader: &mut Reader) {
    for (index, (span, key)) in keys.iter().enumerate() {
        let mut before = keys[..index].iter();
        let wrong = |(_, other): &&(Option<Span>, TokenKey)| {
            other.id == key.id || other.key.expose() == key.key.expose()
        };
        if let Some((first, other)) = before.find(wrong) {
            let wrong = match other.id == key.id {
                true => format!("the token key `{}` is there twice", key.id),
                false => format!("`{}` and `{}` are one secret", other.id, key.id),
            };
            reader.report(
                Problem::error(span.clone(), wrong)
                    .also(first.clone(), "first here")
                    .help("remove one of the two"),
            );
        }
    }
    let users = auth.users.value.iter();
    for user in users.filter_map(|user| user.value.name.as_ref()) {
        if let Some((span, _)) = keys.iter().find(|(_, key)| key.id == user.value.0) {
            let wrong = format!("`{}` is a user and a token key", user.value.0);
            reader.report(
                Problem::error(user.span.clone(), wrong)
                    .also(span.clone(), "the token key")
                    .help("both are what a client sends as USERNAME: rename one of them"),
            );
        }
    }
}
