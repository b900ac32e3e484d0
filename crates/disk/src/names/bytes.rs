//! Any text as any bytes and back, one-to-one: see [`crate::names`].

use std::borrow::Cow;

/// Stands before a character of the escape's own that is meant as itself.
const QUOTE: char = '\u{F77F}';

/// The escape's own characters: the quote, and one for each byte from 0x80 on.
fn is_own(c: char) -> bool {
    ('\u{F77F}'..='\u{F7FF}').contains(&c)
}

/// The bytes for a text: valid UTF-8 but where the text was made of other bytes.
pub(super) fn encode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_own) || stays(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    // `stays` is false only if there is something to go back to.
    unescape(text).map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

/// The text for bytes.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_own) || stays(text) => Cow::Borrowed(text),
        _ => Cow::Owned(escape(bytes)),
    }
}

/// Whether a text stands for itself: going back through escapes ends at a text that is the escape of nothing, and not
/// at bytes that are not text. Each way back is shorter, so this ends; a text without escapes is its own.
fn stays(text: &str) -> bool {
    let mut text = Cow::Borrowed(text);
    loop {
        let Some(bytes) = unescape(&text) else { return true };
        match String::from_utf8(bytes) {
            Err(_) => return false,
            Ok(before) if before == *text => return true,
            Ok(before) => text = Cow::Owned(before),
        }
    }
}

/// The escape of bytes: one-to-one, but not every text is one.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_own(c) {
                out.push(QUOTE);
            }
            out.push(c);
        }
        out.extend(chunk.invalid().iter().filter_map(|&b| char::from_u32(0xF700 + u32::from(b))));
    }
    out
}

/// The bytes of which `text` is the escape, if it is one.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            QUOTE => chars.next().filter(|&c| is_own(c))?,
            c if is_own(c) => {
                bytes.push(u8::try_from(u32::from(c) - 0xF700).ok()?);
                continue;
            }
            c => c,
        };
        bytes.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
    }
    // Single bytes may have come to stand side by side as valid UTF-8: then this is nothing's escape.
    (escape(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names made of what the escapes care about, far more often than chance would have it.
    pub(super) fn awkward() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => prop::sample::select(vec!['\u{F77F}', '\u{F780}', '\u{F7C3}', '\u{F7A9}', '\u{F7FF}', '\u{F77E}', '\u{F800}']),
            1 => any::<char>(),
            1 => prop::char::range('\u{F770}', '\u{F80F}'),
            1 => prop::char::range('a', 'c'),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|v| v.into_iter().collect())
    }

    fn awkward_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..24),
            prop::collection::vec(
                prop::sample::select(vec![0xC3, 0xA9, 0xEF, 0x9D, 0xBF, 0x9E, 0x9F, 0x80, b'a']),
                0..24
            ),
            prop::collection::vec(awkward(), 0..3).prop_map(|v| v.join("").into_bytes()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_bytes_come_back(bytes in awkward_bytes()) {
            let text = decode(&bytes).into_owned();
            prop_assert_eq!(encode(&text).into_owned(), bytes);
        }

        #[test]
        fn any_text_comes_back(text in awkward()) {
            let bytes = encode(&text).into_owned();
            prop_assert_eq!(decode(&bytes).into_owned(), text);
        }
    }

    #[test]
    fn plain_names_are_as_they_are() {
        for name in ["a", "é", "日本", "-x", "\u{F001}", "\u{F77E}", "\u{F800}"] {
            assert_eq!(&*encode(name), name.as_bytes());
            assert_eq!(decode(name.as_bytes()), name);
        }
    }

    #[test]
    fn bytes_that_are_no_text_have_characters_of_their_own() {
        assert_eq!(decode(b"a\xFFb\x80"), "a\u{F7FF}b\u{F780}");
        assert_eq!(decode("\u{F780}".as_bytes()), "\u{F77F}\u{F780}");
        assert_eq!(&*encode("\u{F780}"), b"\x80");
    }

    #[test]
    fn text_that_would_turn_into_other_text_stays() {
        let name = "\u{F7C3}\u{F7A9}";
        assert_eq!(&*encode(name), name.as_bytes());
        assert_eq!(decode(name.as_bytes()), name);
        assert_eq!(&*encode("\u{F77F}"), "\u{F77F}".as_bytes());
    }
}
