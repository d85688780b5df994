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
        secret,
        secret_file,
        secret_env,
    } = &key.value;
    let written = [
        secret.is_some(),
        secret_file.is_some(),
        secret_env.is_some(),
    ];
    let name = one_of(name.as_ref(), key, &written, SECRET_KEYS, reader)?;
    let source = source(secret, secret_file, secret_env)?;
    Some(ApiKey {
        name: name.value.0.clone(),
        secret: source.read(Use::Machine, host, reader)?,
    })
}

fn source(
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
    let pem = |reader: &mut Reader| {
        public_key_pem(raw.public_key_file.as_ref()?, algorithm.value, host, reader)
    };
    let algorithm = match algorithm.value {
        Algorithm::Hs256 => {
            let source = source(&raw.secret, &raw.secret_file, &raw.secret_env)?;
            TokenAlgorithm::Hs256(source.read(Use::Hs256, host, reader)?)
        }
        Algorithm::Rs256 => TokenAlgorithm::Rs256(pem(reader)?),
        Algorithm::EdDsa => TokenAlgorithm::EdDsa(pem(reader)?),
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
    one_of(raw.name.as_ref(), key, wanted, keys, reader)
}

fn public_key_pem(
    path: &At<PathBuf>,
    algorithm: Algorithm,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<String> {
    let place = host.locate(&path.value);
    let bytes = match read_file(&place) {
        Ok(file) => file.bytes,
        Err(error) => {
            let wrong = format!("cannot read {}: {}", place.display(), why(&error));
            reader.report(Problem::error(path.span.clone(), wrong));
            return None;
        }
    };
    let (parsed, kind) = match algorithm {
        Algorithm::EdDsa => (jsonwebtoken::DecodingKey::from_ed_pem(&bytes), "Ed25519"),
        Algorithm::Rs256 | Algorithm::Hs256 => {
            (jsonwebtoken::DecodingKey::from_rsa_pem(&bytes), "RSA")
        }
    };
    let is_private = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
    if is_private || parsed.is_err() {
        let wrong = format!("{} holds no {kind} public key in PEM form", place.display());
        reader.report(
            Problem::error(path.span.clone(), wrong)
                .help("write one with: openssl pkey -in KEY -pubout -out PUBLIC"),
        );
        return None;
    }
    String::from_utf8(bytes.to_vec()).ok()
}

const SECRET_KEYS: &str = "secret, secret_file, secret_env";
