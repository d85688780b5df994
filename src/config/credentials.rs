//! `[auth]`: who may use the relay.

use super::problem::Problem;
use super::raw;
use super::secrets::{Source, Use};
use super::surroundings::Surroundings;
use super::text;
use super::token_keys;
use super::value::{At, Reader};
use crate::auth::{AfterExpiry, Secret, Settings, StaticPassword, StaticUser};

/// Turns `[auth]` into settings, or another table with the same keys, which is what `table` calls it.
pub(super) fn check(
    auth: &At<raw::Auth>,
    table: &str,
    host: &Surroundings,
    reader: &mut Reader,
) -> Settings {
    let raw = &auth.value;
    let settings = Settings {
        realm: raw.realm.value.0.clone(),
        shared_secrets: shared_secrets(raw, host, reader),
        static_users: users(raw, host, reader),
        separator: raw.separator.value.0,
        after_expiry: match raw.after_expiry.value {
            text::AfterExpiry::Refresh => AfterExpiry::RefreshFor(raw.refresh_past_expiry.value.0),
            text::AfterExpiry::End => AfterExpiry::End,
        },
        tokens: token_keys::check(raw, host, reader),
    };
    // What is written but wrong has its own message.
    let nobody = raw.users.value.is_empty() && raw.token_keys.value.is_empty();
    let nothing_written = sources(raw).is_empty() && nobody;
    if nothing_written && !reader.is_flawed(&auth.span) {
        reader.report(
            Problem::error(auth.span.clone(), format!("nobody is authenticated: {table} has no secret and no user"))
                .label("an open relay is not served")
                .help("add shared_secret_files = [\"secret\"], made with: (umask 077; openssl rand -base64 32 > secret)"),
        );
    }
    if raw.after_expiry.value == text::AfterExpiry::End && raw.refresh_past_expiry.is_written() {
        reader.report(
            Problem::warning(raw.refresh_past_expiry.span.clone(), "this has no effect")
                .also(
                    raw.after_expiry.span.clone(),
                    "allocations end with their credential",
                )
                .help("remove it, or write after_expiry = \"refresh\""),
        );
    }
    settings
}

/// Every shared secret, in the order of preference for signing.
fn sources(auth: &raw::Auth) -> Vec<Source> {
    let inline = auth
        .shared_secrets
        .value
        .iter()
        .cloned()
        .map(Source::Inline);
    let files = auth
        .shared_secret_files
        .value
        .iter()
        .cloned()
        .map(Source::File);
    let variables = auth
        .shared_secret_env
        .value
        .iter()
        .cloned()
        .map(Source::Environment);
    inline.chain(files).chain(variables).collect()
}

fn shared_secrets(auth: &raw::Auth, host: &Surroundings, reader: &mut Reader) -> Vec<Secret> {
    sources(auth)
        .iter()
        .filter_map(|source| source.read(Use::Machine, host, reader))
        .collect()
}

fn users(auth: &raw::Auth, host: &Surroundings, reader: &mut Reader) -> Vec<StaticUser> {
    let users = &auth.users.value;
    for (index, user) in users.iter().enumerate() {
        let Some(name) = &user.value.name else {
            continue;
        };
        let first = users[..index]
            .iter()
            .filter_map(|user| user.value.name.as_ref());
        if let Some(first) = first
            .into_iter()
            .find(|first| first.value.0 == name.value.0)
        {
            reader.report(
                Problem::error(
                    name.span.clone(),
                    format!("the user `{}` is there twice", name.value.0),
                )
                .also(first.span.clone(), "first here")
                .help("remove one of the two"),
            );
        }
    }
    users
        .iter()
        .filter_map(|user| static_user(user, auth, host, reader))
        .collect()
}

fn static_user(
    user: &At<raw::User>,
    auth: &raw::Auth,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<StaticUser> {
    let raw::User {
        name,
        password,
        password_file,
        ha1,
        ha1_sha256,
    } = &user.value;
    let written = [password.is_some(), password_file.is_some(), ha1.is_some()];
    let name = one_of(
        ("name", name.as_ref()),
        user,
        &written,
        "password, password_file, ha1",
        reader,
    )?;
    if let Some(ha1) = ha1
        && !auth.realm.is_written()
    {
        reader.report(
            Problem::error(
                ha1.span.clone(),
                "an ha1 is made for a realm, and [auth] names none",
            )
            .help("add realm = \"…\" to [auth], as it was when the ha1 was made"),
        );
    }
    if let Some(sha256) = ha1_sha256
        && ha1.is_none()
    {
        reader.report(
            Problem::error(sha256.span.clone(), "an ha1_sha256 stands beside an ha1")
                .help("most clients sign by MD5: add the ha1, or give the password alone"),
        );
    }
    let password = if let Some(ha1) = ha1 {
        StaticPassword::Ha1 {
            md5: ha1.value.0,
            sha256: ha1_sha256.as_ref().map(|ha1| ha1.value.0),
        }
    } else {
        let source = password.clone().map(Source::Inline);
        let source = source.or_else(|| password_file.clone().map(Source::File))?;
        StaticPassword::Plain(source.read(Use::Password, host, reader)?)
    };
    Some(StaticUser {
        name: name.value.0.clone(),
        password,
    })
}

/// Checks that a table has a name, or what it is `called` in its place, and exactly one of the keys that can hold its secret.
pub(super) fn one_of<'n, T>(
    (called, name): (&str, Option<&'n At<text::Name>>),
    table: &At<T>,
    written: &[bool],
    keys: &str,
    reader: &mut Reader,
) -> Option<&'n At<text::Name>> {
    let count = written.iter().filter(|is_written| **is_written).count();
    if reader.is_flawed(&table.span) {
        return name.filter(|_| count == 1);
    }
    if name.is_none() {
        let problem = Problem::error(table.span.clone(), format!("this has no {called}"));
        reader.report(problem.help(format!("add {called} = \"…\"")));
    }
    if count != 1 {
        let (wrong, help) = match count {
            0 => (format!("this has none of {keys}"), "add one of them"),
            _ => (
                format!("this has more than one of {keys}"),
                "keep one of them",
            ),
        };
        reader.report(Problem::error(table.span.clone(), wrong).help(help));
    }
    name.filter(|_| count == 1)
}
