//! Names as this disk takes them, and names as the tree has them: a translation that loses nothing.
//!
//! A tree's name is UTF-8 text; any text but `/` and NUL may be in it. A disk of another taste keeps such a name in an
//! escaped form, on that disk alone, and gives the tree the unescaped one back:
//!
//! * [`System::Unix`] takes any bytes. A byte that is not part of valid UTF-8 is the character U+F780 + (byte - 0x80) in
//!   the tree; a character of U+F77F..=U+F7FF that really is in a name is quoted there by a U+F77F before it.
//! * [`System::Windows`] forbids characters, endings and device names. What is forbidden is the character U+F000 + code
//!   on the disk, as Cygwin and the Services for Macintosh do; a character of U+F001..=U+F07F, or U+F77F, that really is
//!   in a name is quoted there by a U+F77F before it. Ill-formed UTF-16 (lone surrogates) has no name in the tree:
//!   [`NameRules::to_tree`] gives `None`, and a listing shows it as a special entry, that is skipped and reported.
//! * [`System::Mac`] takes UTF-8 as it is.
//!
//! Either escape alone leaves names over: texts that no disk name has as its escaped form (a lone U+F77F, or U+F7C3
//! U+F7A9, whose bytes would be a valid `é`). Other systems may have such names all the same, so each must have a place
//! here. Where both "take it as it is" and "escape it" are one-to-one, the Schröder-Bernstein construction joins the two
//! into one translation that is one-to-one *and* leaves nothing over: going back through escapes as far as they go, a
//! name belongs to the side on which that ends. Only names that have the escapes' own characters ever notice.

use bifold_tree::{Names, is_name};
use std::ffi::{OsStr, OsString};
use unicode_normalization::UnicodeNormalization;

mod bytes;
mod windows;

/// Which names a disk takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Any bytes.
    Unix,
    /// UTF-8.
    Mac,
    /// UTF-16 without the characters, endings and device names that Windows forbids (also FAT and NTFS elsewhere).
    Windows,
}

/// Which differences between names a disk does not see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fold {
    /// Upper and lower case.
    pub case: bool,
    /// Composed and decomposed Unicode forms.
    pub form: bool,
}

/// The longest name that a disk takes, in its escaped form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MaxName {
    /// So many bytes.
    Bytes(usize),
    /// So many UTF-16 units.
    Utf16(usize),
}

/// How one disk treats names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameRules {
    /// Which names it takes.
    pub system: System,
    /// Which differences it does not see.
    pub fold: Fold,
    /// How long they may be.
    pub max: MaxName,
}

impl NameRules {
    /// What disks of the system that this program was built for do, as long as nothing else is known of one.
    #[must_use]
    pub fn of_this_system() -> NameRules {
        if cfg!(windows) {
            NameRules {
                system: System::Windows,
                fold: Fold { case: true, form: false },
                max: MaxName::Utf16(255),
            }
        } else if cfg!(target_vendor = "apple") {
            NameRules {
                system: System::Mac,
                fold: Fold { case: true, form: true },
                max: MaxName::Bytes(255),
            }
        } else {
            NameRules {
                system: System::Unix,
                fold: Fold::default(),
                max: MaxName::Bytes(255),
            }
        }
    }

    /// The disk's form of one name of the tree. Two names never have one form.
    #[must_use]
    pub fn to_disk(&self, name: &str) -> OsString {
        match self.system {
            System::Mac => name.into(),
            System::Windows => windows::encode(name).into_owned().into(),
            System::Unix => os_from_bytes(bytes::encode(name).into_owned()),
        }
    }

    /// The tree's form of one name of the disk; `None` if it has none (ill-formed UTF-16, bytes that are not UTF-8 on
    /// a disk that should have no such names, or escapes that make up what is no name).
    #[must_use]
    pub fn to_tree(&self, name: &OsStr) -> Option<String> {
        self.text(name).filter(|name| is_name(name))
    }

    /// The same of any text, such as a path, that has names of the disk in it.
    #[must_use]
    pub fn text(&self, text: &OsStr) -> Option<String> {
        match self.system {
            System::Mac => text.to_str().map(str::to_owned),
            System::Windows => text.to_str().map(|text| windows::decode(text).into_owned()),
            System::Unix => Some(bytes::decode(os_as_bytes(text)?).into_owned()),
        }
    }

    /// Whether two names are one to this disk.
    #[must_use]
    pub fn same(&self, a: &str, b: &str) -> bool {
        a == b || self.folds() && self.fold(a) == self.fold(b)
    }
}

impl Names for NameRules {
    fn fold(&self, name: &str) -> String {
        match (self.fold.case, self.fold.form) {
            (false, false) => name.to_owned(),
            (true, false) => name.chars().map(fold_char).collect(),
            (false, true) => name.nfc().collect(),
            // Letters are folded apart from their marks, so that it does not matter which of both forms they came in.
            (true, true) => name.nfd().map(fold_char).nfd().collect::<String>().nfc().collect(),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match (self.system, self.max) {
            (System::Unix, MaxName::Bytes(max)) => bytes::encode(name).len() <= max,
            (System::Windows, MaxName::Bytes(max)) => windows::encode(name).len() <= max,
            (System::Mac, MaxName::Bytes(max)) => name.len() <= max,
            (System::Windows, MaxName::Utf16(max)) => windows::encode(name).encode_utf16().count() <= max,
            (System::Unix | System::Mac, MaxName::Utf16(max)) => name.encode_utf16().count() <= max,
        }
    }

    fn folds(&self) -> bool {
        self.fold.case || self.fold.form
    }
}

/// One character for both cases: upper, then lower, where each is a single character (what disks fold by). Folding more
/// than a disk does costs a name that need not have been escaped; folding less would cost a failed step.
fn fold_char(c: char) -> char {
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(upper)
}

/// The only character, if there is but one.
fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(unix)]
fn os_from_bytes(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(unix)]
fn os_as_bytes(name: &OsStr) -> Option<&[u8]> {
    Some(std::os::unix::ffi::OsStrExt::as_bytes(name))
}

#[cfg(not(unix))]
fn os_from_bytes(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(not(unix))]
fn os_as_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(system: System, case: bool, form: bool) -> NameRules {
        let max = if system == System::Windows {
            MaxName::Utf16(255)
        } else {
            MaxName::Bytes(255)
        };
        NameRules {
            system,
            fold: Fold { case, form },
            max,
        }
    }

    /// Someone may give a file a name that is made of our escapes.
    #[test]
    fn what_escapes_make_up_is_a_name() {
        let rules = rules(System::Windows, true, false);
        for name in ["\u{F02E}", ".\u{F02E}"] {
            assert_eq!(rules.to_tree(name.as_ref()), None, "{name:?}");
        }
        assert_eq!(rules.to_tree("a\u{F02E}".as_ref()).as_deref(), Some("a."));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in "\\PC{0,12}", case: bool, form: bool) {
            let rules = rules(System::Unix, case, form);
            let once = rules.fold(&name);
            prop_assert_eq!(rules.fold(&once), once);
        }

        #[test]
        fn forms_fold_to_one(name in "\\PC{0,12}", case: bool) {
            let rules = rules(System::Mac, case, true);
            prop_assert!(rules.same(&name.nfc().collect::<String>(), &name.nfd().collect::<String>()));
        }

        #[cfg(unix)]
        #[test]
        fn names_of_every_system_come_back(name in "[^/\0]{1,12}") {
            for system in [System::Unix, System::Mac, System::Windows] {
                let rules = rules(system, false, false);
                prop_assert_eq!(rules.to_tree(&rules.to_disk(&name)), Some(name.clone()));
            }
        }
    }

    #[test]
    fn cases_are_one_only_where_the_disk_folds_them() {
        for (case, form, a, b, one) in [
            (true, false, "README", "readme", true),
            (true, false, "ÉTÉ", "été", true),
            (true, false, "Σς", "σΣ", true),
            (false, false, "a", "A", false),
            (false, true, "e\u{301}", "é", true),
            (true, false, "e\u{301}", "é", false),
            (true, true, "E\u{301}", "é", true),
        ] {
            assert_eq!(rules(System::Unix, case, form).same(a, b), one, "{a} {b}");
        }
    }

    #[test]
    fn length_is_that_of_the_escaped_name() {
        let unix = rules(System::Unix, false, false);
        assert!(unix.fits(&"a".repeat(255)) && !unix.fits(&"a".repeat(256)));
        assert!(!unix.fits(&"é".repeat(128)));
        assert!(unix.fits(&"\u{F7FF}".repeat(255)), "255 bytes that are no text");
        let windows = rules(System::Windows, true, false);
        assert!(windows.fits(&"é".repeat(255)) && !windows.fits(&"😀".repeat(128)));
        assert!(windows.fits(&":".repeat(255)) && !windows.fits(&"\u{F001}".repeat(128)));
    }
}
