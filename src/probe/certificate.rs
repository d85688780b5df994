//! What a certificate says: names and the day on which it ends (RFC 5280 §4.1.2.5, §4.2.1.6).

use super::report::Certificate;
use super::text::printable;

/// Names of a certificate that are told.
const MAX_NAMES: usize = 16;

/// Reads a certificate in DER; `now` is in seconds since 1970. What cannot be read is left out.
pub(crate) fn read(der: &[u8], now: i64) -> Certificate {
    let mut found = Certificate::default();
    let Some((SEQUENCE, certificate, _)) = element(der) else {
        return found;
    };
    let Some((SEQUENCE, mut rest, _)) = element(certificate) else {
        return found;
    };
    let mut sequences = 0;
    // Within TBSCertificate: signature, issuer, validity and subject are its first four sequences.
    while let Some((tag, value, behind)) = element(rest) {
        rest = behind;
        sequences += usize::from(tag == SEQUENCE);
        if tag == SEQUENCE && sequences == 3 {
            let end = element(value).and_then(|(_, _, behind)| element(behind));
            let end = end.and_then(|(tag, text, _)| seconds(tag, text));
            found.days_left = end.map(|end| (end - now).div_euclid(86_400));
        }
        if tag == EXTENSIONS
            && let Some((SEQUENCE, extensions, _)) = element(value)
        {
            found.names = alternative_names(extensions);
        }
    }
    found
}

fn alternative_names(mut extensions: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((_, extension, behind)) = element(extensions) {
        extensions = behind;
        let Some((OBJECT, SUBJECT_ALT_NAME, mut rest)) = element(extension) else {
            continue;
        };
        if let Some((BOOLEAN, _, value)) = element(rest) {
            rest = value;
        }
        let Some((OCTETS, value, _)) = element(rest) else {
            continue;
        };
        let Some((SEQUENCE, mut list, _)) = element(value) else {
            continue;
        };
        while let (Some((tag, name, behind)), true) = (element(list), names.len() < MAX_NAMES) {
            list = behind;
            match (tag, name.len()) {
                (DNS_NAME, _) => names.push(printable(name)),
                (IP_ADDRESS, 4) => names.extend(address::<4>(name)),
                (IP_ADDRESS, 16) => names.extend(address::<16>(name)),
                _ => {}
            }
        }
    }
    names
}

fn address<const N: usize>(bytes: &[u8]) -> Option<String>
where
    std::net::IpAddr: From<[u8; N]>,
{
    let bytes: [u8; N] = bytes.try_into().ok()?;
    Some(std::net::IpAddr::from(bytes).to_string())
}

/// The first element: its tag, its value, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = bytes else {
        return None;
    };
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // A certificate that needs more than two bytes of length is none of a server.
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let [high, low, rest @ ..] = rest else {
                return None;
            };
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    Some((*tag, rest.get(..len)?, &rest[len..]))
}

/// UTCTime or GeneralizedTime, in seconds since 1970.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 13) => {
            let year = number(&text[..2])?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        (GENERALIZED_TIME, 15) => (number(&text[..4])?, &text[4..]),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&rest[at..at + 2]));
    let days = days_from_civil(year, month?, day?);
    Some(days * 86_400 + hour? * 3600 + minute? * 60 + second?)
}

fn number(digits: &[u8]) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    let value = digits
        .iter()
        .fold(0, |sum, d| sum * 10 + i64::from(d - b'0'.min(*d)));
    all.then_some(value)
}

/// Days since 1970 in the Gregorian calendar, with years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_end_are_read() {
        let names = ["a.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut parameters = rcgen::CertificateParams::new(names.to_vec()).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2030, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = parameters.self_signed(&key).unwrap().der().to_vec();
        let now = 1_898_553_600; // 2030-02-29 would be March: 2030-03-01 is 1898553600.
        let found = read(&der, now - 86_400 * 30);
        assert_eq!(
            (found.names.as_slice(), found.days_left),
            (&names[..], Some(30))
        );
        assert_eq!(read(&der, now + 1).days_left, Some(-1));
        for end in 0..der.len() {
            read(&der[..end], now);
            let mut bent = der.clone();
            bent[end] ^= 0xff;
            read(&bent, now);
        }
    }
}
