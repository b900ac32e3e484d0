//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::device::Device;
use super::worker::{Name, Worker, name_of, tree};

/// All trees are equal; each worker's own files are there as they were written last, and were each time that they were looked at; and what each wrote last into a shared document is
/// somewhere in the folder or its histories.
pub fn check(devices: &[Arc<Device>], workers: &[Worker]) -> Result<()> {
    let trees = devices.iter().map(|d| tree(&d.root)).collect::<std::io::Result<Vec<_>>>()?;
    for (device, other) in devices.iter().zip(&trees).skip(1) {
        if other != &trees[0] {
            bail!(
                "{} and {} differ: {}",
                devices[0].name,
                device.name,
                differences(&trees[0], other)
            );
        }
    }
    let mut kept: BTreeSet<Name> = trees[0].values().flatten().copied().collect();
    for device in devices {
        kept.extend(history(&device.root)?);
    }
    for worker in workers {
        if let Some(first) = worker.wrong.first() {
            bail!("{first} ({} like that)", worker.wrong.len());
        }
        let inside = format!("{}/", worker.name);
        let shown = |(path, name): (&String, &Option<Name>)| {
            let own = path.starts_with(&inside).then_some(name.as_ref())??;
            Some((path.clone(), Some(*own)))
        };
        let shown: BTreeMap<String, Option<Name>> = trees[0].iter().filter_map(shown).collect();
        let wrote: BTreeMap<String, Option<Name>> = worker.own.iter().map(|(path, name)| (path.clone(), Some(*name))).collect();
        if shown != wrote {
            bail!("of what {} wrote: {}", worker.name, differences(&wrote, &shown));
        }
        for (path, name) in &worker.shared {
            if !kept.contains(name) {
                bail!("what {} wrote last into {path} ({} bytes) is lost", worker.name, name.1);
            }
        }
    }
    Ok(())
}

/// How much there is.
pub fn words(devices: &[Arc<Device>]) -> Result<String> {
    let tree = tree(&devices[0].root)?;
    let files = tree.values().flatten().count();
    let bytes: u64 = tree.values().flatten().map(|name| name.1).sum();
    Ok(format!("{files} files, {} MiB", bytes >> 20))
}

fn history(root: &Path) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(".bifold/history"))? {
        let path = entry?.path();
        if path.is_file() {
            names.push(name_of(&fs::read(path)?));
        }
    }
    Ok(names)
}

fn differences(one: &BTreeMap<String, Option<Name>>, other: &BTreeMap<String, Option<Name>>) -> String {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ: Vec<String> = paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path))
        .map(|path| format!("\n  {path}: {:?}, {:?}", one.get(path), other.get(path)))
        .collect();
    format!(
        "{} paths{}",
        differ.len(),
        differ.iter().take(20).map(String::as_str).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let of = |pairs: &[(&str, u64)]| pairs.iter().map(|(path, n)| ((*path).to_owned(), Some((*n, 1)))).collect();
        let (one, other) = (of(&[("a", 1), ("b", 1), ("c", 1)]), of(&[("a", 1), ("b", 2), ("d", 1)]));
        let text = differences(&one, &other);
        assert!(
            text.starts_with("3 paths") && text.contains("b: Some(Some((1, 1))), Some(Some((2, 1)))"),
            "{text}"
        );
        assert!(!text.contains("a:"));
    }
}
