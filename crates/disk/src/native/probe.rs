//! Finds out how the disk at a root treats names and the executable bit: by trying, or, where nothing may be written, by
//! looking.

use super::{DiskKind, OWN_DIR};
use crate::names::{Fold, MaxName, NameRules, System};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use unicode_normalization::UnicodeNormalization;

/// What a disk does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probed {
    /// How it treats names.
    pub rules: NameRules,
    /// Whether it keeps an executable bit.
    pub exec: bool,
}

impl Probed {
    /// What disks of this kind do.
    fn usual(root: &Path) -> Probed {
        let rules = NameRules::of_this_system();
        match DiskKind::of(root) {
            DiskKind::Foreign => {
                let rules = NameRules {
                    system: System::Windows,
                    fold: Fold {
                        case: true,
                        form: rules.fold.form,
                    },
                    max: MaxName::Utf16(255),
                };
                Probed { rules, exec: false }
            }
            DiskKind::Local | DiskKind::Remote => Probed { rules, exec: cfg!(unix) },
        }
    }

    /// Tries it with files of the engine's own, which are gone afterwards. Where none can be made, it looks instead.
    pub(super) fn by_trying(root: &Path) -> Probed {
        let own = root.join(OWN_DIR);
        let made = fs::create_dir(&own).is_ok();
        // A link in its place is not followed.
        let is_dir = fs::symlink_metadata(&own).is_ok_and(|m| m.is_dir());
        let tried = if is_dir {
            try_in(&own, Probed::usual(root))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        };
        if made {
            // Not empty by now only if another has begun to use it.
            let _ = fs::remove_dir(&own);
        }
        tried.unwrap_or_else(|_| Probed::by_looking(root))
    }

    /// Looks at what is in the root; without a trace.
    pub(super) fn by_looking(root: &Path) -> Probed {
        let mut probed = Probed::usual(root);
        let names: Vec<String> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .take(1000)
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .collect();
        if let Some(case) = names.iter().find_map(|name| one_name(root, &names, name, &other_case(name))) {
            probed.rules.fold.case = case;
        }
        if let Some(form) = names.iter().find_map(|name| one_name(root, &names, name, &other_form(name))) {
            probed.rules.fold.form = form;
        }
        probed
    }
}

/// Tries it in a directory of the engine's own.
fn try_in(own: &Path, usual: Probed) -> io::Result<Probed> {
    /// Tells probes of one process from each other.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let tail = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut probed = usual;

    let path = own.join(format!("probe-a-{tail}"));
    let file = File::create_new(&path)?;
    probed.rules.fold.case = own.join(format!("PROBE-A-{tail}")).symlink_metadata().is_ok();
    probed.exec = keeps_exec(&file);
    drop(file);
    let _ = fs::remove_file(&path);

    // A disk that takes no such name folds none.
    let path = own.join(format!("probe-\u{e9}-{tail}"));
    probed.rules.fold.form =
        File::create_new(&path).is_ok() && own.join(format!("probe-e\u{301}-{tail}")).symlink_metadata().is_ok();
    let _ = fs::remove_file(&path);
    Ok(probed)
}

#[cfg(unix)]
fn keeps_exec(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    [0o700, 0o600].into_iter().all(|mode| {
        file.set_permissions(fs::Permissions::from_mode(mode)).is_ok()
            && file.metadata().is_ok_and(|m| m.permissions().mode() & 0o100 == mode & 0o100)
    })
}

#[cfg(not(unix))]
fn keeps_exec(_: &File) -> bool {
    false
}

/// Whether `name` and `other` are one name to the disk; `None` if this pair does not tell.
fn one_name(root: &Path, names: &[String], name: &str, other: &str) -> Option<bool> {
    if name == other {
        return None;
    }
    if names.iter().any(|n| n == other) {
        return Some(false);
    }
    match fs::symlink_metadata(root.join(other)) {
        Ok(_) => Some(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// The name with upper case for lower and back, as far as it is ASCII.
fn other_case(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// The name in the Unicode form that it is not in; itself, if it has but one.
fn other_form(name: &str) -> String {
    let composed: String = name.nfc().collect();
    if composed == name { name.nfd().collect() } else { composed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        Probed::by_trying(dir.path());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::create_dir(dir.path().join(OWN_DIR)).unwrap();
        Probed::by_trying(dir.path());
        assert_eq!(fs::read_dir(dir.path().join(OWN_DIR)).unwrap().count(), 0);
    }

    #[test]
    fn trying_and_looking_agree() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Ab-\u{e9}"), "").unwrap();
        assert_eq!(Probed::by_trying(dir.path()), Probed::by_looking(dir.path()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_folds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let probed = Probed::by_trying(dir.path());
        assert_eq!(probed.rules, NameRules::of_this_system());
        assert!(probed.exec);
    }
}
