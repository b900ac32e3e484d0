//! The invariants.

use super::Broken;
use super::disk::within;
use super::world::{Mode, World};
use crate::need;
use bifold_tree::{ConflictKind, ContentId, Kind, Node, NodeId, Projected, Vector};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The name that an entry asked for, of one that may be marked.
fn unmarked(name: &str) -> &str {
    match name.rfind(" (") {
        Some(at) if name.ends_with(')') => &name[..at],
        _ => name,
    }
}

impl World {
    pub fn check(&mut self) -> Result<(), Broken> {
        let mut projections: Vec<Vec<Projected>> = self.devices.iter_mut().map(|d| d.project()).collect();
        for p in &mut projections {
            p.sort_by(|a, b| a.path.cmp(&b.path));
        }
        self.check_replicas(&projections)?;
        for (d, projection) in projections.iter().enumerate() {
            self.check_tree(d, projection)?;
            self.check_disk(d, projection)?;
        }
        self.check_content(&projections)?;
        self.check_equal(&projections)
    }

    fn check_replicas(&mut self, projections: &[Vec<Projected>]) -> Result<(), Broken> {
        let mut cut = Vector::default();
        for d in &self.devices {
            cut.join(&d.replica.frontier());
        }
        let within_cut = |n: &Node| n.context.iter().all(|(r, time)| *time <= cut.time(*r));
        let mut states: Vec<BTreeMap<NodeId, Arc<Node>>> = Vec::new();
        for (d, projection) in self.devices.iter().zip(projections) {
            let live: BTreeSet<NodeId> = projection.iter().flat_map(|p| p.nodes.iter().copied()).collect();
            let nodes = d.replica.changed_since(0).into_iter();
            states.push(
                nodes
                    .filter(|n| live.contains(&n.id) || !within_cut(n))
                    .map(|n| (n.id, n))
                    .collect(),
            );
        }
        for (d, state) in self.devices.iter().zip(&states) {
            need!(
                *state == states[0],
                "I1 replicas differ: {}\n    {:?}\n    {:?}",
                d.name,
                states[0],
                state
            );
        }
        Ok(())
    }

    fn check_tree(&mut self, d: usize, projection: &[Projected]) -> Result<(), Broken> {
        let mut folded: BTreeSet<String> = BTreeSet::new();
        let mut dirs = BTreeSet::from([String::new()]);
        let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
        let device = &mut self.devices[d];
        for p in projection {
            need!(
                folded.insert(device.disk.fold(&p.path)),
                "I3 a name twice: {} {}",
                device.name,
                p.path
            );
            need!(
                p.nodes.iter().all(|n| nodes.insert(*n)),
                "I3 a node twice: {} {}",
                device.name,
                p.path
            );
            let parent = p.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            need!(dirs.contains(parent), "I3 no tree: {} {}", device.name, p.path);
            if p.kind == Kind::Dir {
                dirs.insert(p.path.clone());
            }
        }
        for node in device.replica.changed_since(0) {
            need!(
                !node.gones.is_empty() || nodes.contains(&node.id),
                "I3 a live node is not shown: {node:?}"
            );
        }
        let orphan = device.conflicts().into_iter().find(|c| c.kind == ConflictKind::Orphan);
        need!(self.resets > 0 || orphan.is_none(), "I3 an orphan at the end: {orphan:?}");
        Ok(())
    }

    fn check_disk(&mut self, d: usize, projection: &[Projected]) -> Result<(), Broken> {
        let device = &self.devices[d];
        need!(
            device.disk.parked().is_empty(),
            "left out of the way: {} {:?}",
            device.name,
            device.disk.parked()
        );
        for id in &device.missing {
            need!(
                self.killed.contains(&self.word(id)),
                "missing: {} {}",
                device.name,
                self.word(id)
            );
        }
        let missing = |p: &&Projected| device.missing.contains(&p.content.id());
        let missed: BTreeSet<&str> = projection.iter().filter(missing).map(|p| p.path.as_str()).collect();
        let show: BTreeMap<&str, (Kind, String, bool)> = projection
            .iter()
            .filter(|p| !missed.contains(p.path.as_str()))
            .map(|p| {
                let data = if p.kind == Kind::Dir {
                    String::new()
                } else {
                    self.word(&p.content.id())
                };
                (p.path.as_str(), (p.kind, data, p.exec && p.kind == Kind::File))
            })
            .collect();
        let disk = device.contents();
        let disk: BTreeMap<&str, (Kind, String, bool)> = disk
            .iter()
            .filter(|(p, _)| !missed.contains(p.as_str()))
            .map(|(p, v)| (p.as_str(), v.clone()))
            .collect();
        need!(
            show == disk,
            "the disk does not show the projection: {}\n    {show:?}\n    {disk:?}",
            device.name
        );
        Ok(())
    }

    fn check_content(&mut self, projections: &[Vec<Projected>]) -> Result<(), Broken> {
        let on_disks: BTreeSet<String> = self
            .devices
            .iter()
            .flat_map(|d| d.on_disk().map(|(_, o)| o.data.clone()).collect::<Vec<_>>())
            .collect();
        let mut stored = on_disks.clone();
        stored.extend(self.devices.iter().flat_map(|d| d.store.values().cloned()));
        let all = projections.iter().flatten();
        let sides: BTreeSet<(Kind, ContentId)> = all.flat_map(|p| p.sides.iter().map(|s| (p.kind, *s))).collect();
        let mut words: BTreeSet<String> = BTreeSet::new();
        for (kind, id) in sides {
            let word = self.word(&id);
            let there = kind == Kind::Link || stored.contains(&word) || self.killed.contains(&word);
            need!(there, "I2 a listed side without bytes: {word}");
            if kind == Kind::Link {
                stored.insert(word.clone());
            }
            words.insert(word);
        }
        for token in self.written.iter().filter(|t| !self.killed.contains(*t)) {
            need!(words.contains(token) || on_disks.contains(token), "I2 lost: {token}");
            need!(stored.contains(token), "I2 lost bytes: {token}");
        }
        Ok(())
    }

    fn check_equal(&mut self, projections: &[Vec<Projected>]) -> Result<(), Broken> {
        let listed = self.devices[0].conflicts();
        let open: BTreeSet<NodeId> = listed
            .iter()
            .filter(|c| c.kind == ConflictKind::Content)
            .flat_map(|c| c.nodes.iter().copied())
            .collect();
        let tree = |projection: &[Projected]| -> Vec<(String, Kind, bool, Option<ContentId>)> {
            let data = |p: &Projected| (!p.nodes.iter().any(|n| open.contains(n))).then_some(p.content.id());
            projection.iter().map(|p| (p.path.clone(), p.kind, p.exec, data(p))).collect()
        };
        let plain = self.devices.iter().zip(projections).filter(|(d, _)| !d.disk.folds);
        let trees: Vec<_> = plain.map(|(d, p)| (d.name.clone(), tree(p))).collect();
        for (name, tree) in &trees {
            need!(
                *tree == trees[0].1,
                "I7 disks differ: {name}\n    {:?}\n    {tree:?}",
                trees[0].1
            );
        }
        let first = self.devices[0].questions();
        for d in &mut self.devices {
            let other = d.questions();
            need!(
                other == first,
                "I7 the lists of conflicts differ: {}\n    {first:?}\n    {other:?}",
                d.name
            );
        }
        Ok(())
    }

    /// What one moved wins over its deletion, with all that is in it.
    pub fn check_rescued(&mut self) -> Result<(), Broken> {
        let sides: BTreeSet<ContentId> = self.devices[0].project().into_iter().flat_map(|p| p.sides).collect();
        let shown: BTreeSet<String> = sides.iter().map(|s| self.word(s)).collect();
        let lost: Vec<_> = self.rescued.difference(&shown).collect();
        need!(lost.is_empty(), "I9 a rename must win with all that is inside: {lost:?}");
        let listed = self.devices[0].conflicts();
        need!(listed.is_empty(), "I9 and nothing to ask: {listed:?}");
        for id in sides {
            let held = self.devices.iter().any(|d| d.holds(&id));
            need!(
                held || !self.rescued.contains(&self.word(&id)),
                "I9 bytes: {}",
                self.word(&id)
            );
        }
        Ok(())
    }

    /// What one device made by itself stays where its user put it.
    pub fn check_alone(&mut self) -> Result<(), Broken> {
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for p in self.devices[0].project() {
            let path: Vec<&str> = p.path.split('/').map(unmarked).collect();
            for side in &p.sides {
                places.entry(self.word(side)).or_default().insert(path.join("/"));
            }
        }
        for (data, path) in &self.alone {
            let at = places.get(data);
            need!(
                at.is_some_and(|p| p.contains(path)),
                "I8 moved by someone who never had it: {data} was at {path}, is at {at:?}"
            );
        }
        Ok(())
    }

    /// What a history led to, for the counts.
    pub fn features(&mut self) -> BTreeSet<String> {
        let mut features: BTreeSet<String> = self.devices[0]
            .conflicts()
            .iter()
            .map(|c| format!("{:?}", c.kind).to_lowercase())
            .collect();
        for p in self.devices[0].project() {
            if p.nodes.len() > 1 {
                features.insert(format!("united {:?}", p.kind).to_lowercase());
            }
        }
        if self.devices.iter().any(|d| !d.missing.is_empty()) {
            features.insert("bytes nowhere".to_owned());
        }
        features
    }

    /// Plays a history, and checks all that must hold after it.
    pub fn run(&mut self, history: &[super::world::Numbers]) -> Result<BTreeSet<String>, Broken> {
        self.play(history)?;
        self.quiesce()?;
        self.check()?;
        let features = self.features();
        match self.mode {
            Mode::Offline => self.check_alone()?,
            Mode::Rescue => self.check_rescued()?,
            _ => {}
        }
        if self.mode != Mode::Linear {
            self.check_picks()?;
            self.check_plain()?;
        }
        if matches!(self.mode, Mode::Gc | Mode::Any | Mode::Linear) {
            self.check_collection()?;
        }
        debug_assert!(!within("ab", "a"));
        Ok(features)
    }
}
