//! The program, run by hand: inputs in, effects carried out at once, in order.

use super::far::Reachable;
use super::listing::{Listed, ListedProblem, Listing, word};
use super::{Choice, Device, Mode, Said, World};
use crate::faults::{Fault, on};
use crate::random::Random;
use bifold_chunk::Manifest;
use bifold_disk::apply::content_of;
use bifold_disk::far::Far;
use bifold_disk::scan::Scope;
use bifold_disk::stage::Origin;
use bifold_disk::turns::{Turns, Work};
use bifold_engine::carry::{Carrier, CarryError, Listener, Means, run_apply, run_read, run_scan};
use bifold_engine::core::{Core, Decide, Effect, Input, Prefer, Side};
use bifold_engine::open::{OpenOptions, open};
use bifold_engine::root::RootSpec;
use bifold_protocol::Message;
use bifold_store::{FolderId, Store};
use bifold_tree::{ContentId, Projected, ReplicaId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    /// What comes before them: that connections were made, or ended.
    links: VecDeque<Input>,
    /// Replicas that something was committed for.
    begun: BTreeSet<ReplicaId>,
    copied: u64,
    applied: u64,
}

/// Where in a replica's id its device is, where each has a program of its own.
const DEVICE_SHIFT: u32 = 32;

impl Program {
    pub(super) fn start(world: &mut World, members: &[usize]) -> Result<Program, Stop> {
        let refuse = |world: &World, why: String| {
            if world.moments.ended() {
                Stop::Ended
            } else {
                Stop::Refused(why)
            }
        };
        let mut store = Store::open(&world.index_of(members).path()).map_err(|e| Stop::Broken(e.to_string()))?;
        for member in members {
            world.devices[*member].fs.forget_what_was_found();
        }
        let spec = |device: &Device| RootSpec {
            name: device.name.clone(),
            path: device.path.clone(),
            identity: device.identity,
            fs: Arc::new(device.fs.clone()),
            rejoin: members.iter().any(|m| world.rejoins(*m)),
        };
        let specs = members.iter().map(|m| spec(&world.devices[*m])).collect();
        let apart = world.mode == Mode::Apart;
        world.runs += 1;
        let (runs, random) = (world.runs, &mut world.random);
        // What happens at the same time is ordered as the devices are.
        let mut new_replica = || (members[0] as u64) << DEVICE_SHIFT | runs;
        let options = OpenOptions {
            folder: apart.then_some(FolderId(7)),
            new_replica: if apart { Some(&mut new_replica) } else { None },
            dry: false,
            ignore: &world.ignore,
            random: &mut || random.number(),
        };
        let opened = open(&mut store, specs, options).map_err(|e| refuse(world, e.to_string()))?;
        world.index_of(members).committed(true);
        let ids: Vec<ReplicaId> = opened.iter().map(|root| root.replica).collect();
        if apart {
            world.gone.extend(world.had.insert(members[0], ids[0]));
            world.gone.remove(&ids[0]);
        }
        let carrier = Carrier::new(store, opened, false);
        let mut inputs: VecDeque<Input> = carrier.load().map_err(|e| refuse(world, e.to_string()))?.into();
        let place = |d: usize| members.iter().position(|m| *m == d);
        for (a, b) in &world.links {
            if let (Some(a), Some(b)) = (place(*a), place(*b)) {
                inputs.push_back(Input::Connect(ids[a], ids[b]));
            }
        }
        let mut settings = world.settings.clone();
        if world.mode == Mode::Apart && members[0] > 0 {
            settings.prefer = Prefer::Ask; // one decides
        }
        let core = Core::new(settings);
        Ok(Program {
            core,
            carrier,
            members: members.to_vec(),
            ids,
            inputs,
            links: VecDeque::new(),
            begun: BTreeSet::new(),
            copied: 0,
            applied: 0,
        })
    }

    fn id(&self, device: usize) -> Option<ReplicaId> {
        self.members.iter().position(|m| *m == device).map(|i| self.ids[i])
    }

    /// The replicas, by device.
    pub(super) fn ids(&self) -> impl Iterator<Item = (usize, ReplicaId)> + '_ {
        self.members.iter().copied().zip(self.ids.iter().copied())
    }

    /// Which device a replica is of, where each has a program of its own.
    pub(super) fn device_of(replica: ReplicaId) -> u64 {
        replica.0 >> DEVICE_SHIFT
    }

    /// What programs are ordered by.
    pub(super) fn place(&self) -> usize {
        self.members[0]
    }

    /// Two replicas are linked, or no more, of which one or both are here. Returns how many messages are lost by that.
    /// `gone`: replicas that their devices had before these.
    pub(super) fn link(&mut self, a: ReplicaId, b: ReplicaId, linked: bool, gone: &BTreeSet<ReplicaId>) -> usize {
        let late = |from, to| (from, to) == (a, b) || (from, to) == (b, a);
        let before = self.inputs.len();
        self.inputs
            .retain(|input| !matches!(input, Input::Message { from, to, .. } if late(*from, *to)));
        let lost = before - self.inputs.len();
        let takes_part = self.ids.contains(&a) || self.ids.contains(&b);
        if linked && takes_part && !gone.is_empty() {
            self.links.push_back(Input::Retired(gone.clone()));
        }
        self.links
            .push_back(match (self.ids.contains(&a), self.ids.contains(&b), linked) {
                (false, false, _) => return lost,
                (_, _, false) => Input::Disconnect(a, b),
                (true, true, true) => Input::Connect(a, b),
                (here, _, true) => Input::ConnectFar {
                    here: if here { a } else { b },
                    there: if here { b } else { a },
                    reads: false,
                },
            });
        lost
    }

    /// What people call the others.
    pub(super) fn names(&mut self, names: BTreeMap<ReplicaId, String>) {
        self.inputs.push_back(Input::Named(names));
    }

    /// A message comes, if it is for one of these replicas. Luck may have it come before what the disk is about to tell.
    pub(super) fn hear(&mut self, from: ReplicaId, to: ReplicaId, message: &Message, luck: Option<&mut Random>) {
        if self.ids.contains(&to) {
            let message = message.clone();
            let of_disk = |input: &&Input| {
                matches!(
                    input,
                    Input::Scanned(..) | Input::ScanEnded(..) | Input::Read(..) | Input::Applied(..) | Input::ApplyEnded(..)
                )
            };
            let behind = self.inputs.iter().rev().take_while(of_disk).count();
            let early = luck.map_or(0, |luck| luck.below(behind + 1));
            self.inputs
                .insert(self.inputs.len() - early, Input::Message { from, to, message });
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
    pub(super) fn begin(&mut self, allow: bool, decisions: &mut Vec<Said>, devices: &BTreeMap<usize, ReplicaId>) {
        (self.copied, self.applied) = self.totals();
        if allow {
            self.inputs.extend(self.ids.iter().map(|id| Input::Allow(*id)));
        }
        decisions.retain(|said| {
            let side = match &said.choice {
                Choice::Device(other) => devices.get(other).copied().map(Side::Replica),
                Choice::Both => Some(Side::Both),
                Choice::Delete => Some(Side::Deleted),
            };
            let told = side.filter(|_| self.id(said.device).is_some());
            // (At once: it is about what the person has just seen listed.)
            if let Some(side) = told {
                let (path, kind) = (said.path.clone(), said.kind);
                self.inputs.push_front(Input::Decide(Decide { path, side, kind }));
            }
            told.is_none()
        });
        self.inputs.push_back(Input::Retry);
    }

    fn totals(&mut self) -> (u64, u64) {
        let status = self.core.status();
        (
            status.hosts.iter().map(|h| h.moved.copied).sum(),
            status.hosts.iter().map(|h| h.applied).sum(),
        )
    }

    /// Whether it was told of a link, and has not taken that in.
    pub(super) fn is_linking(&self) -> bool {
        !self.links.is_empty()
    }

    /// What it does next.
    pub(super) fn next(&self) -> Option<&Input> {
        self.links.front().or(self.inputs.front())
    }

    /// Does that.
    pub(super) fn turn(&mut self, world: &mut World, others: &[Program]) -> Result<(), Stop> {
        let next = self.links.pop_front().or_else(|| self.inputs.pop_front());
        let Some(input) = next else { return Ok(()) };
        self.step(world, others, input)
    }

    /// Whether it shows what it knows, and agrees with all others.
    pub(super) fn agrees_with(&self, all: impl Iterator<Item = ReplicaId>) -> bool {
        let mut others = all.filter(|id| !self.ids.contains(id));
        self.core.all_shown() && others.all(|there| self.core.agrees(self.ids[0], there))
    }

    /// What the disks should show, as the replicas have it.
    pub(super) fn projections(&mut self) -> Vec<Vec<Projected>> {
        let replicas = self
            .ids
            .iter()
            .filter_map(|id| Some(self.core.replica_mut(*id)?.project(&|_| false)));
        replicas.collect()
    }

    /// Whether its disk may have what it put there and has not noted.
    pub(super) fn is_unsure(&self) -> bool {
        let unsure = |input: &Input| matches!(input, Input::Applied(..) | Input::Attach { carrying: true, .. });
        self.inputs.iter().any(unsure) || self.ids.iter().any(|id| self.core.is_unsure(*id))
    }

    /// Waits for someone who may never speak; after some time it is to go on without them. Says whether it does.
    pub(super) fn waits_for_others(&mut self) -> bool {
        let waits = !self.core.is_quiet() && self.core.has_failures();
        if waits {
            self.inputs.push_back(Input::Retry);
        }
        waits
    }

    /// There is nothing more to do.
    pub(super) fn rest(&mut self) -> Result<(), Stop> {
        if self.core.is_quiet() {
            self.core.forget_decisions();
            Ok(())
        } else {
            Err(Stop::Broken("the program waits for something that nobody does".to_owned()))
        }
    }

    /// Where it shows, or keeps, a content.
    pub(super) fn places_of(&self, content: ContentId) -> Vec<Origin> {
        self.carrier.places_of(&self.core, content)
    }

    /// The manifest of a content, if it knows it.
    pub(super) fn manifest(&self, content: ContentId) -> Option<Manifest> {
        self.carrier.manifest(content)
    }

    fn carry_out(&mut self, world: &mut World, others: &[Program], effect: Effect) -> Result<(), Stop> {
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
                let first = self.carrier.commit(id, &commit, world.wall_ms(self.place()), random);
                // A session's first commit waits for the disk, for the sake of the marker.
                let no_nodes = commit.changes.as_ref().is_none_or(|changes| changes.nodes.is_empty());
                let waits = commit.durable && !(no_nodes && on(Fault::AcksUnsynced));
                let durable = waits || self.begun.insert(id) || first.is_err();
                world.index_of(&self.members).committed(durable);
                first.map_err(|e| failed(world, e))?;
            }
            Effect::Send { from, to, message } if self.ids.contains(&to) => tell(Input::Message { from, to, message }),
            Effect::Send { from, to, message } => world.wires.entry((from, to)).or_default().push_back(message),
            Effect::Refuse { here, there, why } => return world.refused(self.place(), here, there, &why),
            Effect::Scan(id, scope) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                self.carrier.doubt(&self.core, id).map_err(|e| failed(world, e))?;
                run_scan(&root, &scope, &stop, &mut tell);
            }
            Effect::Read(id, files) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                run_read(&root, &files, 1, &stop, &mut tell);
            }
            // Steps are taken at once: nothing can wait for them.
            Effect::MakeRoom(_) => {}
            Effect::Seek(number, contents) => tell(Input::Sought(number, self.carrier.seek(contents))),
            Effect::Apply(id, steps) => {
                let root = self.carrier.root(id).cloned().expect("a root");
                let jobs = self.carrier.jobs(&self.core, id, steps).map_err(|e| failed(world, e))?;
                world.runs += 1;
                let run = world.runs;
                let far = (world.mode == Mode::Apart).then(|| {
                    let wanted = jobs
                        .iter()
                        .filter_map(|job| content_of(&job.action))
                        .map(|(content, _)| content);
                    let linked = |other: &&Program| {
                        let (a, b) = (self.place().min(other.place()), self.place().max(other.place()));
                        world.links.contains(&(a, b))
                    };
                    Reachable::new(wanted, &others.iter().filter(linked).collect::<Vec<_>>(), world.fetches())
                });
                let far = far.map(|far| Arc::new(far) as Arc<dyn Far>);
                let at_once = |work: Work| {
                    work();
                    true
                };
                let turns = &Arc::new(Turns::new(root.fs.clone(), Box::new(at_once)));
                let mut listener = Applying {
                    program: self,
                    world,
                    others,
                    told: Vec::new(),
                    stopped: Ok(()),
                };
                run_apply(
                    &root,
                    jobs,
                    run,
                    &Means { threads: 1, turns, far },
                    &stop,
                    &|_| {},
                    &mut listener,
                );
                let Applying { told: rest, stopped, .. } = listener;
                stopped?;
                told = rest;
            }
        }
        self.inputs.extend(told);
        Ok(())
    }

    fn step(&mut self, world: &mut World, others: &[Program], input: Input) -> Result<(), Stop> {
        let wall_ms = world.wall_ms(self.place());
        for effect in self.core.step(input, wall_ms) {
            world.note_with(|_| format!("    {effect:?}"));
            self.carry_out(world, others, effect)?;
            if world.moments.ended() {
                return Err(Stop::Ended);
            }
        }
        Ok(())
    }

    pub(super) fn listing(&mut self, names: Vec<String>) -> Listing {
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
            if let Some(halted) = host.halted {
                listing.halted.insert(device, halted.why);
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
    others: &'a [Program],
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
                self.stopped = self.program.step(self.world, self.others, input);
            }
        }
        self.stopped.is_ok()
    }
}
