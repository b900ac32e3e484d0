//! What a scan may conclude, and what not.

use super::Broken;
use super::device::{Device, Scope, Way};
use super::disk::{Disk, join};
use crate::need;
use bifold_tree::{Kind, Listed, Policy, Survey};

type Case = fn(&mut Device) -> Result<(), Broken>;

/// All cases, with their names.
pub const CASES: &[(&str, Case)] = &[
    (
        "a moved directory that cannot be listed keeps what was in it",
        moved_and_unlisted,
    ),
    ("a file that cannot be read is neither changed nor gone", unreadable),
    ("an unreadable file in a moved directory moves along", unreadable_and_moved),
    ("a skipped path and what is below it stay as they are", skipped),
    ("what is looked at twice is taken in once", looked_twice),
    ("what came back while the scan went on is not gone", came_back),
    ("what went while the scan went on is not there", went),
    ("a look at both halves is a move", both_halves),
    ("a path whose directory is not known asks for more", unrooted),
];

/// Those that fail.
pub fn wrong_surveys() -> Vec<String> {
    let run = |(name, case): &(&str, Case)| {
        let result = super::history::caught(|| {
            let mut disk = Disk::new(false);
            for dir in ["d", "d/s"] {
                let _ = disk.put(dir, Kind::Dir, "", false);
            }
            for file in ["a", "d/x", "d/s/y"] {
                let _ = disk.put(file, Kind::File, &format!("{file}0"), false);
            }
            let mut device = Device::new(
                "A",
                1,
                disk,
                Policy::Ask,
                Way {
                    compare: true,
                    ..Way::plain()
                },
                0,
            );
            device.scan(1, Scope::Full)?;
            case(&mut device)
        });
        result.err().map(|broken| format!("{name}: {broken}"))
    };
    CASES.iter().filter_map(run).collect()
}

fn list(d: &Device, survey: &mut Survey, dir: &str) {
    let stat = |name: std::sync::Arc<str>| (name.clone(), d.disk.stat(&join(dir, &name)));
    let entries: Vec<Listed> = d.disk.list(dir).into_iter().map(stat).collect();
    survey.listed(&d.replica, dir, &entries);
}

fn look(d: &Device, survey: &mut Survey, path: &str) {
    survey.looked(&d.replica, path, d.disk.stat(path).filter(|_| d.disk.has_exactly(path)));
}

/// Reads all but what cannot be read, and takes it in.
fn observe(d: &mut Device, mut survey: Survey, unreadable: &[&str]) -> usize {
    for (i, path, stat) in survey.unread(&d.replica) {
        if unreadable.contains(&path.as_str()) {
            survey.unreadable(&d.replica, i);
        } else {
            survey.read(i, d.disk.get(&path).unwrap().bytes(), stat);
        }
    }
    let operations = d.replica.observe(survey, 2).operations;
    d.commit();
    operations
}

fn moved_and_unlisted(d: &mut Device) -> Result<(), Broken> {
    d.disk.rename("d", "e").unwrap();
    let mut survey = Survey::new();
    list(d, &mut survey, "");
    need!(observe(d, survey, &[]) == 1, "only the directory moved");
    need!(d.replica.recorded_at("e/s/y").is_some(), "what was in it was lost");
    let paths: Vec<String> = d.project().into_iter().map(|p| p.path).collect();
    need!(paths.contains(&"e/x".to_owned()), "deleted: {paths:?}");
    need!(d.scan(3, Scope::Full)? == 0, "all as it was");
    Ok(())
}

fn unreadable(d: &mut Device) -> Result<(), Broken> {
    d.disk.edit("a", "other").unwrap();
    let mut survey = Survey::new();
    list(d, &mut survey, "");
    need!(observe(d, survey, &["a"]) == 0, "nothing can be said");
    need!(d.scan(3, Scope::Full)? == 1, "the edit is found once it can be read");
    Ok(())
}

fn unreadable_and_moved(d: &mut Device) -> Result<(), Broken> {
    d.disk.rename("d", "e").unwrap();
    d.disk.put("e/x", Kind::File, "new", false).unwrap();
    let mut survey = Survey::new();
    for dir in ["", "e", "e/s"] {
        list(d, &mut survey, dir);
    }
    need!(observe(d, survey, &["e/x"]) == 1, "only the directory moved");
    need!(d.scan(3, Scope::Full)? == 1, "and then the edit is found");
    Ok(())
}

fn skipped(d: &mut Device) -> Result<(), Broken> {
    let mut survey = Survey::new();
    survey.listed(&d.replica, "", &[("a".into(), None), ("d".into(), None)]);
    need!(survey.is_empty(), "nothing is known");
    need!(observe(d, survey, &[]) == 0, "nothing was done");
    Ok(())
}

fn looked_twice(d: &mut Device) -> Result<(), Broken> {
    let _ = d.disk.put("n", Kind::Dir, "", false);
    let _ = d.disk.put("n/m", Kind::File, "m0", false);
    d.disk.edit("a", "a1").unwrap();
    let mut survey = Survey::new();
    for _ in 0..2 {
        look(d, &mut survey, "a");
        look(d, &mut survey, "n");
        list(d, &mut survey, "n");
        look(d, &mut survey, "n/m");
        list(d, &mut survey, "");
    }
    need!(observe(d, survey, &[]) == 5, "an edit and two births");
    need!(d.scan(3, Scope::Full)? == 0, "all was taken in");
    Ok(())
}

fn came_back(d: &mut Device) -> Result<(), Broken> {
    let mut survey = Survey::new();
    survey.looked(&d.replica, "d", None);
    for dir in ["", "d", "d/s"] {
        list(d, &mut survey, dir);
    }
    need!(observe(d, survey, &[]) == 0, "all is there");
    Ok(())
}

fn went(d: &mut Device) -> Result<(), Broken> {
    let _ = d.disk.put("n", Kind::File, "n0", false);
    d.disk.edit("a", "a1").unwrap();
    let mut survey = Survey::new();
    list(d, &mut survey, "");
    let unread = survey.unread(&d.replica).len();
    need!(unread == 2, "{unread} to read");
    d.disk.remove("n").unwrap();
    d.disk.remove("a").unwrap();
    look(d, &mut survey, "n");
    look(d, &mut survey, "a");
    need!(survey.unread(&d.replica).is_empty(), "nothing to read");
    need!(observe(d, survey, &[]) == 1, "one deletion");
    need!(d.scan(3, Scope::Full)? == 0, "all was taken in");
    Ok(())
}

fn both_halves(d: &mut Device) -> Result<(), Broken> {
    d.disk.rename("d/x", "x").unwrap();
    d.disk.rename("d/s", "s").unwrap();
    let mut survey = Survey::new();
    for path in ["d/x", "s", "d/s", "x"] {
        look(d, &mut survey, path);
    }
    let mut unread: Vec<String> = survey.unread(&d.replica).into_iter().map(|(_, path, _)| path).collect();
    unread.sort();
    need!(
        unread == ["x"],
        "a rename may hide an edit, but not one of a directory above: {unread:?}"
    );
    need!(observe(d, survey, &[]) == 2, "two moves");
    need!(d.scan(3, Scope::Full)? == 0, "all was taken in");
    Ok(())
}

fn unrooted(d: &mut Device) -> Result<(), Broken> {
    let _ = d.disk.put("n", Kind::Dir, "", false);
    let _ = d.disk.put("n/m", Kind::File, "m0", false);
    let mut survey = Survey::new();
    look(d, &mut survey, "n/m");
    need!(survey.unrooted() && survey.is_empty(), "a wider scan has to look");
    Ok(())
}
