//! The program, run by hand: inputs in, effects carried out at once, in order.

use super::listing::{Listed, ListedProblem, Listing, word};
use super::{Choice, Device, World};
use bifold_disk::scan::Scope;
use bifold_engine::carry::{Carrier, CarryError, Listener, run_apply, run_read, run_scan};
use bifold_engine::core::{Core, Decide, Effect, Input, Side};
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::RootSpec;
use bifold_store::Store;
use bifold_tree::ReplicaId;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Inputs after which a program is said not to come to rest.
const MANY: usize = 20_000;

/// Why the program stopped.
pub(super) enum Stop {
    Ended,
    Refused(String),
    Broken(String),
}

pub(super) struct Program {
    core: Core,
    carrier: Carrier,
    members: Vec<usize>,
    ids: Vec<ReplicaId>,
    inputs: VecDeque<Input>,
    /// Replicas that something was committed for.
    begun: BTreeSet<ReplicaId>,
    copied: u64,
    applied: u64,
}

impl Program {
    pub(super) fn start(world: &mut World, members: &[usize]) -> Result<Program, Stop> {
        let refuse = |world: &World, why: String| {
            if world.moments.ended() {
                Stop::Ended
            } else {
                Stop::Refused(why)
            }
        };
        let mut store = Store::open(&world.index.path()).map_err(|e| Stop::Broken(e.to_string()))?;
        for member in members {
            world.devices[*member].fs.forget_what_was_found();
        }
        let spec = |device: &Device| RootSpec {
            name: device.name.clone(),
            path: device.path.clone(),
            identity: device.identity,
            fs: Arc::new(device.fs.clone()),
            rejoin: false,
        };
        let specs = members.iter().map(|m| spec(&world.devices[*m])).collect();
        let random = &mut world.random;
        let options = OpenOptions {
            dry: false,
            ignore: &world.ignore,
            random: &mut || random.number(),
        };
        let opened = open(&mut store, specs, options).map_err(|e| refuse(world, e.to_string()))?;
        world.index.committed(true);
        let ids: Vec<ReplicaId> = opened.iter().map(|root| root.replica).collect();
        let carrier = Carrier::new(store, opened, false);
        let mut inputs: VecDeque<Input> = carrier.load().map_err(|e| refuse(world, e.to_string()))?.into();
        let place = |d: usize| members.iter().position(|m| *m == d);
        for (a, b) in &world.links {
            if let (Some(a), Some(b)) = (place(*a), place(*b)) {
                inputs.push_back(Input::Connect(ids[a], ids[b]));
            }
        }
        let core = Core::new(world.settings.clone());
        Ok(Program {
            core,
            carrier,
            members: members.to_vec(),
            ids,
            inputs,
            begun: BTreeSet::new(),
            copied: 0,
            applied: 0,
        })
    }

    fn id(&self, device: usize) -> Option<ReplicaId> {
        self.members.iter().position(|m| *m == device).map(|i| self.ids[i])
    }

    pub(super) fn link(&mut self, a: usize, b: usize, linked: bool) {
        if let (Some(a), Some(b)) = (self.id(a), self.id(b)) {
            self.inputs.push_back(if linked {
                Input::Connect(a, b)
            } else {
                Input::Disconnect(a, b)
            });
        }
    }

    pub(super) fn dirty(&mut self, device: usize, paths: BTreeSet<String>) {
        let Some(id) = self.id(device).filter(|_| !paths.is_empty()) else {
            return;
        };
        let scope = if paths.contains("") {
            Scope::All
        } else {
            Scope::Paths(paths.into_iter().collect())
        };
        self.inputs.push_back(Input::Dirty(id, scope));
    }

    /// A round begins: what failed is tried again, and what people decided is told.
    pub(super) fn begin(&mut self, world: &mut World) {
        (self.copied, self.applied) = self.totals();
        if world.allow {
            self.inputs.extend(self.ids.iter().map(|id| Input::Allow(*id)));
        }
        let mut later = Vec::new();
        for (device, path, choice) in std::mem::take(&mut world.decisions) {
            let side = match choice {
                Choice::Device(other) => self.id(other).map(Side::Replica),
                Choice::Both => Some(Side::Both),
                Choice::Delete => Some(Side::Deleted),
            };
            match side.filter(|_| self.id(device).is_some()) {
                Some(side) => self.inputs.push_back(Input::Decide(Decide { path, side })),
                None => later.push((device, path, choice)),
            }
        }
        world.decisions = later;
        self.inputs.push_back(Input::Retry);
    }

    fn totals(&mut self) -> (u64, u64) {
        let status = self.core.status();
        (
            status.hosts.iter().map(|h| h.moved.copied).sum(),
            status.hosts.iter().map(|h| h.applied).sum(),
        )
    }

    /// Runs until there is nothing more to do.
    pub(super) fn run(&mut self, world: &mut World) -> Result<(), Stop> {
        let mut count = 0;
        while let Some(input) = self.inputs.pop_front() {
            count += 1;
            if count > MANY {
                return Err(Stop::Broken(format!("the program does not come to rest; next is {input:?}")));
            }
            self.step(world, input)?;
        }
        if self.core.is_quiet() {
            self.core.forget_decisions();
            Ok(())
        } else {
            Err(Stop::Broken("the program waits for something that nobody does".to_owned()))
        }
    }

    fn carry_out(&mut self, world: &mut World, effect: Effect) -> Result<(), Stop> {
        let stop = AtomicBool::new(false);
        let mut told = Vec::new();
        let mut tell = |input| told.push(input);
        let failed = |world: &World, e: CarryError| {
            if world.moments.ended() {
                Stop::Ended
            } else {
                Stop::Refused(e.to_string())
            }
        };
        match effect {
            Effect::Commit(id, commit) => {
                if !world.moments.change() {
                    return Err(Stop::Ended);
                }
                let random = world.random.number();
                let first = self.carrier.commit(id, &commit, world.moments.wall_ms(), random);
                // A session's first commit waits for the disk, for the sake of the marker.
                let durable = commit.durable || self.begun.insert(id) || first.is_err();
                world.index.committed(durable);
                first.map_err(|e| failed(world, e))?;
            }
            Effect::Send { from, to, message } => tell(Input::Message { from, to, message }),
            Effect::Scan(id, scope) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                run_scan(&root, &scope, &stop, &mut tell);
            }
            Effect::Read(id, files) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                run_read(&root, &files, 1, &stop, &mut tell);
            }
            Effect::Apply(id, steps) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                let jobs = self.carrier.jobs(&self.core, id, steps).map_err(|e| failed(world, e))?;
                world.runs += 1;
                let run = world.runs;
                let mut listener = Applying {
                    program: self,
                    world,
                    told: Vec::new(),
                    stopped: Ok(()),
                };
                run_apply(&root, jobs, run, 1, &stop, &|_| {}, &mut listener);
                let Applying { told: rest, stopped, .. } = listener;
                stopped?;
                told = rest;
            }
        }
        self.inputs.extend(told);
        Ok(())
    }

    fn step(&mut self, world: &mut World, input: Input) -> Result<(), Stop> {
        for effect in self.core.step(input, world.moments.wall_ms()) {
            self.carry_out(world, effect)?;
            if world.moments.ended() {
                return Err(Stop::Ended);
            }
        }
        Ok(())
    }

    pub(super) fn listing(&mut self, world: &World) -> Listing {
        let name = |d: &usize| world.devices[*d].name.clone();
        let names: Vec<String> = self.members.iter().map(name).collect();
        let status = self.core.status();
        let mut listing = Listing::default();
        for c in status.conflicts {
            let sides = c
                .sides
                .into_iter()
                .map(|s| (s.replicas.into_iter().collect(), s.content))
                .collect();
            listing.conflicts.push(Listed {
                path: c.path,
                kind: word(c.kind),
                base: c.base.map(|(id, _)| id),
                sides,
            });
        }
        let mut applied = 0;
        let mut copied = 0;
        for (host, device) in status.hosts.into_iter().zip(names) {
            for p in host.problems {
                listing.problems.insert(ListedProblem {
                    device: device.clone(),
                    path: p.path,
                    kind: word(p.kind),
                });
            }
            if host.held.is_some() {
                listing.held.insert(device.clone());
            }
            if let Some(why) = host.halted {
                listing.halted.insert(device, why);
            }
            applied += host.applied;
            copied += host.moved.copied;
        }
        listing.applied = applied - self.applied;
        listing.copied = copied - self.copied;
        listing
    }
}

/// Steps being taken: what became of them is told to the core when they are over, or when the index is to know first.
struct Applying<'a> {
    program: &'a mut Program,
    world: &'a mut World,
    told: Vec<Input>,
    stopped: Result<(), Stop>,
}

impl Listener for Applying<'_> {
    fn tell(&mut self, input: Input) {
        self.told.push(input);
    }

    fn wait_until_noted(&mut self) -> bool {
        for input in std::mem::take(&mut self.told) {
            if self.stopped.is_ok() {
                self.stopped = self.program.step(self.world, input);
            }
        }
        self.stopped.is_ok()
    }
}
