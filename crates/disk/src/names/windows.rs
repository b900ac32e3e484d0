//! Any text as a name that Windows takes and back, one-to-one: see [`crate::names`].

use std::borrow::Cow;

/// Stands before a character of the escape's own that is meant as itself.
const QUOTE: char = '\u{F77F}';

/// The escape's own characters: the quote, and one for each code of ASCII but 0.
fn is_own(c: char) -> bool {
    c == QUOTE || ('\u{F001}'..='\u{F07F}').contains(&c)
}

/// What may be nowhere in a name.
fn is_forbidden(c: char) -> bool {
    matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*' | '\u{1}'..='\u{1F}')
}

/// Whether Windows takes the name for a device, whatever follows its first dot.
/// Source: Microsoft, "Naming Files, Paths, and Namespaces".
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    // The longest has seven characters, of which one may have two bytes.
    if stem.len() > 8 {
        return false;
    }
    let stem = stem.to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => stem
            .strip_prefix("COM")
            .or_else(|| stem.strip_prefix("LPT"))
            .is_some_and(|number| {
                let mut chars = number.chars();
                matches!(chars.next(), Some('1'..='9' | '¹' | '²' | '³')) && chars.next().is_none()
            }),
    }
}

/// Whether Windows takes the name as it is.
pub(super) fn is_legal(name: &str) -> bool {
    !name.contains(is_forbidden) && !name.ends_with(['.', ' ']) && !is_device(name)
}

/// The disk's name for a tree's.
pub(super) fn encode(name: &str) -> Cow<'_, str> {
    if is_legal(name) && (!name.contains(is_own) || stays(name)) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(escape(name))
}

/// The tree's name for a disk's.
pub(super) fn decode(name: &str) -> Cow<'_, str> {
    if !name.contains(is_own) || stays(name) {
        return Cow::Borrowed(name);
    }
    // `stays` is false only if there is something to go back to.
    unescape(name).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Whether a name of the disk stands for itself: going back through escapes ends at a name that is the escape of
/// nothing, and not at one that Windows would not take. Each way back is shorter, so this ends.
fn stays(name: &str) -> bool {
    let mut name = Cow::Borrowed(name);
    loop {
        let Some(before) = unescape(&name) else { return true };
        if before == *name {
            return true;
        }
        if !is_legal(&before) {
            return false;
        }
        name = Cow::Owned(before);
    }
}

/// The escape of a name: legal, one-to-one, but not every legal name is one.
fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if is_forbidden(c) || matches!(c, '.' | ' ') && chars.peek().is_none() {
            out.push(moved(c));
        } else {
            if is_own(c) {
                out.push(QUOTE);
            }
            out.push(c);
        }
    }
    if is_device(&out)
        && let Some(first) = out.chars().next()
    {
        out.replace_range(..first.len_utf8(), moved(first).encode_utf8(&mut [0; 4]));
    }
    out
}

/// The character that stands for one of ASCII.
fn moved(c: char) -> char {
    char::from_u32(0xF000 + u32::from(c)).unwrap_or(c)
}

/// The name of which `name` is the escape, if it is one.
fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            QUOTE => chars.next().filter(|&c| is_own(c))?,
            c if is_own(c) => char::from_u32(u32::from(c) - 0xF000)?,
            c => c,
        });
    }
    // An escape where none is due (a letter that begins no device's name) is nothing's escape.
    (escape(&out) == name).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn awkward() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "\u{F77F}", "\u{F001}", "\u{F07F}", "\u{F022}", "\u{F03A}", "\u{F02E}", "\u{F043}", "\u{F063}", "\u{F020}", ":",
                "\"", "?", ".", " ", "\u{1}", "\u{1F}", "CON", "con", "ON", "NUL", "Com1", "LPT²", "OM1", ".txt", "a",
                "\u{F780}", "\u{F700}", "\u{F07E}",
            ])
            .prop_map(str::to_owned),
            any::<char>()
                .prop_filter("no name", |c| !matches!(c, '/' | '\0'))
                .prop_map(String::from),
        ];
        prop::collection::vec(piece, 1..8).prop_map(|v| v.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8192))]

        #[test]
        fn any_text_becomes_a_legal_name_and_comes_back(name in awkward()) {
            let disk = encode(&name).into_owned();
            prop_assert!(is_legal(&disk), "{disk:?}");
            prop_assert_eq!(decode(&disk).into_owned(), name);
        }

        #[test]
        fn any_legal_name_comes_back(name in awkward().prop_filter("legal", |n| is_legal(n))) {
            let tree = decode(&name).into_owned();
            prop_assert_eq!(encode(&tree).into_owned(), name);
        }
    }

    #[test]
    fn forbidden_names_are_escaped() {
        for (tree, disk) in [
            ("a:b", "a\u{F03A}b"),
            ("a.", "a\u{F02E}"),
            ("a..", "a.\u{F02E}"),
            ("a ", "a\u{F020}"),
            ("CON", "\u{F043}ON"),
            ("nul.txt", "\u{F06E}ul.txt"),
            ("com1.tar.gz", "\u{F063}om1.tar.gz"),
            ("LPT³", "\u{F04C}PT³"),
            ("aux .c", "\u{F061}ux .c"),
            ("\u{F03A}", "\u{F77F}\u{F03A}"),
            ("console", "console"),
            ("com10", "com10"),
            (".con", ".con"),
        ] {
            assert_eq!(encode(tree), disk);
            assert_eq!(decode(disk), tree);
        }
    }
}
