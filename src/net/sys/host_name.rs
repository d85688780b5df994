//! What this host is called.

/// The name of this host, or `localhost` where it has none that can be read as text.
pub fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the array lives during the call, and no more is written than it has. Its last byte stays zero.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|byte| *byte == 0);
    let text = end.and_then(|end| str::from_utf8(&name[..end]).ok());
    match text {
        Some(text) if result == 0 && !text.is_empty() => text.to_owned(),
        _ => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_name() {
        let name = host_name();
        assert!(!name.is_empty() && !name.contains(['\0', '\n']), "{name}");
    }
}
