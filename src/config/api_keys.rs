//! `[[api.keys]]` and `[[api.tokens]]`: who may ask the HTTP interface.

use std::path::PathBuf;

use super::credentials::one_of;
use super::problem::Problem;
use super::raw;
use super::secrets::{Source, Use};
use super::surroundings::{Surroundings, read_file, why};
use super::text::{Algorithm, Name, SecretText};
use super::value::{At, Reader};
use crate::api::{ApiKey, TokenAlgorithm, TokenKey};

/// Reads one of `[[api.keys]]`.
pub(super) fn key(
    key: &At<raw::ApiKey>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<ApiKey> {
    let raw::ApiKey {
        name,
        realm: _,
        secret,
        secret_file,
        secret_env,
    } = &key.value;
    let written = [
        secret.is_some(),
        secret_file.is_some(),
        secret_env.is_some(),
    ];
    let name = one_of(("name", name.as_ref()), key, &written, SECRET_KEYS, reader)?;
    let source = source(secret, secret_file, secret_env)?;
    Some(ApiKey {
        name: name.value.0.clone(),
        secret: source.read(Use::Machine, host, reader)?,
    })
}

pub(super) fn source(
    secret: &Option<At<SecretText>>,
    file: &Option<At<PathBuf>>,
    variable: &Option<At<String>>,
) -> Option<Source> {
    let inline = secret.clone().map(Source::Inline);
    let file = || file.clone().map(Source::File);
    let variable = || variable.clone().map(Source::Environment);
    inline.or_else(file).or_else(variable)
}

/// Reads one of `[[api.tokens]]`.
pub(super) fn token(
    key: &At<raw::Token>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<TokenKey> {
    let raw = &key.value;
    let Some(algorithm) = raw.algorithm.as_ref() else {
        if !reader.is_flawed(&key.span) {
            let problem = Problem::error(key.span.clone(), "this has no algorithm");
            reader.report(problem.help("add algorithm = \"HS256\", \"RS256\" or \"EdDSA\""));
        }
        return None;
    };
    let name = token_name(key, algorithm, reader)?;
    let public_key = |reader: &mut Reader, algorithm: fn(String) -> TokenAlgorithm| {
        public_key(raw.public_key_file.as_ref()?, algorithm, host, reader)
    };
    let algorithm = match algorithm.value {
        Algorithm::Hs256 => {
            let source = source(&raw.secret, &raw.secret_file, &raw.secret_env)?;
            TokenAlgorithm::Hs256(source.read(Use::Hs256, host, reader)?)
        }
        Algorithm::Rs256 => public_key(reader, TokenAlgorithm::Rs256)?,
        Algorithm::EdDsa => public_key(reader, TokenAlgorithm::EdDsa)?,
    };
    Some(TokenKey {
        name: name.value.0.clone(),
        algorithm,
        audience: raw.audience.as_ref().map(|at| at.value.clone()),
        issuer: raw.issuer.as_ref().map(|at| at.value.clone()),
    })
}

/// The name of a token's key, if that key is of the kind that its algorithm takes.
fn token_name<'k>(
    key: &'k At<raw::Token>,
    algorithm: &At<Algorithm>,
    reader: &mut Reader,
) -> Option<&'k At<Name>> {
    let raw = &key.value;
    let secrets = [
        raw.secret.is_some(),
        raw.secret_file.is_some(),
        raw.secret_env.is_some(),
    ];
    let public_key = [raw.public_key_file.is_some()];
    let (wanted, unwanted, keys) = match algorithm.value {
        Algorithm::Hs256 => (&secrets[..], &public_key[..], SECRET_KEYS),
        Algorithm::Rs256 | Algorithm::EdDsa => (&public_key[..], &secrets[..], "public_key_file"),
    };
    if unwanted.contains(&true) && !reader.is_flawed(&key.span) {
        let wrong = "this algorithm takes another kind of key";
        let problem = Problem::error(algorithm.span.clone(), wrong);
        reader.report(problem.help(format!("it takes: {keys}")));
        return None;
    }
    one_of(("name", raw.name.as_ref()), key, wanted, keys, reader)
}

fn public_key(
    path: &At<PathBuf>,
    algorithm: fn(String) -> TokenAlgorithm,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<TokenAlgorithm> {
    let place = host.locate(&path.value);
    let problem = match read_file(&place) {
        Err(error) => {
            let wrong = format!("cannot read {}: {}", place.display(), why(&error));
            Problem::error(path.span.clone(), wrong)
        }
        Ok(file) => {
            // PEM is ASCII; what else stands around it, in any encoding, is comment.
            let algorithm = algorithm(String::from_utf8_lossy(&file.bytes).into_owned());
            let Err(error) = algorithm.check() else {
                return Some(algorithm);
            };
            let wrong = format!("{} cannot be used: {error}", place.display());
            Problem::error(path.span.clone(), wrong).help(error.remedy())
        }
    };
    reader.report(problem);
    None
}

pub(super) const SECRET_KEYS: &str = "secret, secret_file, secret_env";
