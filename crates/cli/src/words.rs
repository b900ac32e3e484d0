//! Words for people: names that cannot talk to the terminal, counts, and commands that can be typed as they stand.

use crate::args::Sync;
use std::fmt::Write;

/// A name or path as it is shown: what would move the cursor, change colours or the like is written out.
pub fn shown(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if is_harmless(c) {
            text.push(c);
        } else {
            text.extend(c.escape_default());
        }
    }
    text
}

/// Neither a control character nor one that turns the direction of writing.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// "1 file", "2 files".
pub fn count(n: u64, word: &str) -> String {
    format!("{} {word}{}", indicatif::HumanCount(n), if n == 1 { "" } else { "s" })
}

/// An argument as it is typed in a shell.
pub fn typed(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./=+:,@%-".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else if cfg!(windows) {
        format!("\"{argument}\"")
    } else if argument.chars().all(is_harmless) {
        format!("'{}'", argument.replace('\'', "'\\''"))
    } else {
        let mut text = String::from("$'");
        for c in argument.chars() {
            match c {
                '\'' | '\\' => {
                    let _ = write!(text, "\\{c}");
                }
                c if is_harmless(c) => text.push(c),
                c => c.to_string().bytes().for_each(|b| {
                    let _ = write!(text, "\\x{b:02x}");
                }),
            }
        }
        text + "'"
    }
}

/// The command with the same sides, home and patterns, and one more option.
pub fn same_command(sync: &Sync, option: &str) -> String {
    let mut command = String::from("bifold sync");
    let mut add = |argument: &str| {
        command.push(' ');
        command.push_str(&typed(argument));
    };
    let side = |path: &std::path::Path| {
        let path = path.to_string_lossy().into_owned();
        if path.starts_with('-') { format!("./{path}") } else { path }
    };
    add(&side(&sync.left));
    add(&side(&sync.right));
    if let Some(home) = &sync.home {
        add("--home");
        add(&home.to_string_lossy());
    }
    for pattern in &sync.ignore {
        add(&format!("--ignore={pattern}"));
    }
    command + " " + option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_change_is_quoted() {
        for (argument, text) in [
            ("a/b-c.txt=left", "a/b-c.txt=left"),
            ("übung", "übung"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("a\nb'", "$'a\\x0ab\\''"),
        ] {
            if !cfg!(windows) {
                assert_eq!(typed(argument), text);
            }
        }
    }

    #[test]
    fn names_are_shown_without_their_tricks() {
        assert_eq!(shown("ü 🎉.txt"), "ü 🎉.txt");
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}txt"), "a\\u{1b}[31m\\n\\u{202e}txt");
    }
}
