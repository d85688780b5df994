//! `[auth]`: who may use the relay.

use super::findings::Findings;
use super::options::{Given, Options};
use super::toml_text::{TomlText, list, quoted};
use crate::config::secrets::{Use, weakness};
use crate::config::text::{self, Ha1, MAX_USERNAME};
use crate::config::value::Text;

/// Turns the options of authentication into [auth] and [[auth.users]].
pub(super) fn convert(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    realm(options, toml, findings);
    let by_secret = secret_line(options);
    match (options.on("no-auth"), by_secret) {
        (Some(line), None) => findings.error(
            line,
            "`no-auth` relays for everyone, and uturn never does: add `use-auth-secret` and `static-auth-secret=` with \
             what `openssl rand -base64 32` prints, take `no-auth` out, and import again",
        ),
        (_, Some(line)) => secrets(options, line, toml, findings),
        (None, None) => users(options, toml, findings),
    }
    separator(options, toml, findings);
    tokens(options, toml);
    databases(options, by_secret, findings);
}

/// The line that makes coturn check time-limited credentials.
fn secret_line(options: &Options<'_>) -> Option<usize> {
    let line = options
        .last("use-auth-secret")
        .or(options.last("static-auth-secret"));
    line.map(|given| given.line)
}

fn realm(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    match options.value("realm") {
        Some(given) => match text::realm(given.value) {
            Ok(realm) => toml.key("auth", &[given.line], "", "realm", &quoted(&realm)),
            Err(wrong) => findings.error(given.line, format!("`realm`: {wrong}")),
        },
        None => toml.comment(
            "auth",
            "No `realm` in the old file: coturn took the domain of its host (hostname -d), this is \"uturn\". Clients \
             take any; an `ha1` is made for one.",
        ),
    }
}

fn secrets(options: &Options<'_>, line: usize, toml: &mut TomlText, findings: &mut Findings) {
    let given: Vec<_> = options.all("static-auth-secret").collect();
    let mut values: Vec<&str> = Vec::new();
    for secret in &given {
        check_secret(secret.line, secret.value, Use::Machine, findings);
        if !values.contains(&secret.value) {
            values.push(secret.value);
        }
    }
    if values.is_empty() {
        findings.decision(
            line,
            "`use-auth-secret` without `static-auth-secret`: the secrets are in the database. Write one into the file \
             `secret` beside the configuration, which `uturn check` asks for; for SQLite: sqlite3 \
             /var/lib/turn/turndb \"select realm, value from turn_secret\"",
        );
        let why = "The secret stood in coturn's database.";
        toml.key("auth", &[line], why, "shared_secret_files", "[\"secret\"]");
    } else {
        let lines: Vec<_> = given.iter().map(|given| given.line).collect();
        let why = match values.len() {
            1 => "Keep this file to yourself: chmod 600.",
            _ => "All are accepted; the first one signs. Keep this file to yourself: chmod 600.",
        };
        toml.key("auth", &lines, why, "shared_secrets", &list(&values));
    }
    for user in options.all("user") {
        findings.surprise(
            user.line,
            "coturn leaves `user` out where there is an auth secret: not carried over; as [[auth.users]] this user \
             could log in beside the secret",
        );
    }
}

fn check_secret(line: usize, value: &str, purpose: Use, findings: &mut Findings) {
    if let Some(problem) = weakness(value.as_bytes(), purpose, None).filter(|it| it.is_error()) {
        let whose = match purpose {
            Use::Password => "with the user",
            _ => "with everyone who issues credentials",
        };
        findings.error(
            line,
            format!(
                "{}, and uturn does not serve it: change it here and {whose}, and import again",
                problem.title()
            ),
        );
    }
}

fn users(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let mut users: Vec<(usize, &str, &str)> = Vec::new();
    for given in options.all("user") {
        let Some((name, key)) = given.value.split_once(':').filter(|(n, k)| is_user(n, k)) else {
            findings.error(given.line, "`user` has to be NAME:PASSWORD or NAME:0xKEY");
            continue;
        };
        if let Some(at) = users.iter().position(|user| user.1 == name) {
            let first = users.remove(at).0;
            let wrong = format!("the user of line {first} again: coturn takes this one");
            findings.surprise(given.line, wrong);
        }
        users.push((given.line, name, key.trim_start_matches([' ', '\t'])));
    }
    for (line, name, key) in &users {
        let has_key = key.starts_with("0x");
        toml.push("auth.users", format!("# Line {line}."));
        toml.push("auth.users", "[[auth.users]]".to_owned());
        toml.push("auth.users", format!("name = {}", quoted(name)));
        if has_key {
            if Ha1::parse(key).is_err() {
                findings.error(
                    *line,
                    "the key of this `user` is not 0x and 32 hexadecimal digits",
                );
            }
            if options.value("realm").is_none() {
                findings.error(
                    *line,
                    "the key of this `user` is made for a realm, and there is none in the file: add `realm=` with what \
                     `hostname -d` prints on coturn's host, and import again",
                );
            }
            toml.push(
                "auth.users",
                format!("ha1 = {}", quoted(key.trim_start_matches("0x"))),
            );
        } else {
            check_secret(*line, key, Use::Password, findings);
            toml.push("auth.users", format!("password = {}", quoted(key)));
        }
    }
    if users.is_empty() {
        nobody(options, toml, findings);
    }
}

fn is_user(name: &str, key: &str) -> bool {
    let fits = name.len() <= MAX_USERNAME && !name.chars().any(char::is_control);
    !name.trim().is_empty() && fits && !key.trim().is_empty()
}

/// Users of a database, STUN alone, or an open relay.
fn nobody(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    if let Some(line) = options.on("lt-cred-mech") {
        findings.decision(
            line,
            "`lt-cred-mech` without `user`: the users are in a database. `uturn check` refuses the configuration until \
             there is an [[auth.users]] for each",
        );
        toml.comment(
            "auth.users",
            "The users stood in coturn's database. One of these for each:",
        );
        for line in [
            "#[[auth.users]]",
            "#name = \"alice\"",
            "#ha1 = \"what hmackey has\"",
        ] {
            toml.push("auth.users", line.to_owned());
        }
    } else if let Some(line) = options.on("stun-only") {
        toml.key(
            "auth",
            &[line],
            "STUN alone: nobody is told this secret. (umask 077; openssl rand -base64 32 > secret)",
            "shared_secret_files",
            "[\"secret\"]",
        );
    } else {
        findings.error(
            None,
            "nothing says who may use the relay: coturn served everyone, and uturn never does. Add `use-auth-secret` and \
             `static-auth-secret=` with what `openssl rand -base64 32` prints, and import again",
        );
    }
}

fn separator(options: &Options<'_>, toml: &mut TomlText, findings: &mut Findings) {
    let Some(given) = options.value("rest-api-separator") else {
        return;
    };
    let first: String = given.value.chars().take(1).collect();
    match text::separator(&first) {
        Ok(':') => {}
        Ok(separator) => {
            let separator = quoted(&separator.to_string());
            toml.key("auth", &[given.line], "", "separator", &separator);
        }
        Err(wrong) => findings.error(given.line, format!("`rest-api-separator`: {wrong}")),
    }
}

/// Access tokens need keys, which the old file does not have.
fn tokens(options: &Options<'_>, toml: &mut TomlText) {
    let Some(line) = options.on("oauth") else {
        return;
    };
    let origin = super::toml_text::origin(&[line]);
    let text = format!(
        "{origin} Access tokens, once there is an [[auth.token_keys]] for each key of coturn's database:"
    );
    toml.comment("auth", &text);
    toml.push("auth", "#token_integrity = \"coturn\"".to_owned());
    if let Some(name) = options.value("server-name") {
        toml.push(
            "auth",
            format!("#token_server_name = {}", quoted(name.value)),
        );
    }
}

/// How what is in a database moves.
fn databases(options: &Options<'_>, by_secret: Option<usize>, findings: &mut Findings) {
    let said = |given: &Given<'_>, how: &str| {
        let what = match by_secret {
            Some(_) => "turn_secret (shared secrets) goes to `shared_secrets`",
            None => "turnusers_lt (users) goes to [[auth.users]], hmackey as `ha1`",
        };
        format!(
            "{}: {what}; realms of turn_origin_to_realm and limits of turn_realm_option go to [[realms]], denied_peer_ip \
             and allowed_peer_ip to [peers], oauth_key to [[auth.token_keys]]. To see what there is: {how}",
            given.row.name
        )
    };
    let query = match by_secret {
        Some(_) => "select realm, value from turn_secret",
        None => "select realm, name, hmackey from turnusers_lt",
    };
    let redis = match by_secret {
        Some(_) => "redis-cli --scan --pattern 'turn/realm/*/secret', then redis-cli smembers KEY",
        None => "redis-cli --scan --pattern 'turn/realm/*/user/*/key', then redis-cli get KEY",
    };
    let mongo = match by_secret {
        Some(_) => "mongosh coturn --eval 'db.turn_secret.find()'",
        None => "mongosh coturn --eval 'db.turnusers_lt.find()'",
    };
    for (names, how) in [
        (&["userdb", "db"][..], format!("sqlite3 FILE \"{query}\"")),
        (
            &["psql-userdb", "sql-userdb"],
            format!("psql -d coturn -c \"{query}\""),
        ),
        (&["mysql-userdb"], format!("mysql coturn -e \"{query}\"")),
        (&["mongo-userdb"], mongo.to_owned()),
        (&["redis-userdb"], redis.to_owned()),
    ] {
        for given in names.iter().filter_map(|name| options.value(name)) {
            findings.decision(given.line, said(&given, &how));
        }
    }
}
