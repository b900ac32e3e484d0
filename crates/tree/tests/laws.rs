//! The laws of merging, over states that histories brought forth; and nodes that no honest replica makes.

mod common;

use bifold_tree::{
    Base, Content, ContentId, Dot, ExactNames, Gone, Head, Heads, Kind, Node, NodeId, Place, Policy, Register, Replica, ReplicaId,
};
use common::random::Random;
use common::world::{Mode, World};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn merged(a: &Node, b: &Node) -> Node {
    let mut both = a.clone();
    let changed = both.merge(b);
    assert_eq!(changed, both != *a, "says whether it changed");
    both
}

#[test]
fn merging_is_commutative_associative_and_idempotent() {
    let mut random = Random::new(1);
    let mut triples = 0;
    for seed in 0..800 {
        let mut world = World::new(seed, Mode::Any, false);
        let mut states: BTreeMap<NodeId, Vec<Arc<Node>>> = BTreeMap::new();
        for numbers in world.history(40) {
            world.now += 1;
            world.step(numbers).unwrap();
            for d in &world.devices {
                for node in d.replica.changed_since(0) {
                    assert_eq!(node.check(), Ok(()));
                    let known = states.entry(node.id).or_default();
                    if !known.contains(&node) {
                        known.push(node);
                    }
                }
            }
        }
        for states in states.values() {
            for _ in 0..12 {
                let [a, b, c] = [0; 3].map(|_: i32| random.of(states).as_ref());
                let ab = merged(a, b);
                assert_eq!(ab, merged(b, a), "commutative");
                assert_eq!(merged(a, a), *a, "idempotent");
                assert_eq!(merged(&ab, b), ab, "idempotent");
                assert_eq!(merged(&ab, c), merged(a, &merged(b, c)), "associative");
                assert_eq!(ab.check(), Ok(()), "well-formed");
                triples += 1;
            }
        }
    }
    assert!(triples > 30_000, "only {triples} triples");
}

// ---- nodes that no honest replica makes

fn dot() -> impl Strategy<Value = Dot> {
    (0u64..6, 0u64..4).prop_map(|(time, replica)| Dot {
        time,
        replica: ReplicaId(replica),
    })
}

fn node_id() -> impl Strategy<Value = NodeId> {
    (1u64..3, 1u64..3, 0u32..2).prop_map(|(time, replica, index)| NodeId {
        dot: Dot {
            time,
            replica: ReplicaId(replica),
        },
        index,
    })
}

fn name() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        8 => "[ab]( \\([0-9a-z]{4}\\))?(\\.txt)?".prop_map(Arc::from),
        1 => Just("".into()),
        1 => Just("..".into()),
        1 => Just("a/b".into()),
        1 => Just("é".repeat(600).into()),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Dir), 2 => Just(Kind::File), 1 => Just(Kind::Link)]
}

fn content(kind: Kind) -> impl Strategy<Value = Content> {
    let file = (0u8..3, 0u64..3, any::<bool>()).prop_map(|(b, size, base)| Content::File {
        id: ContentId([b; 32]),
        size,
        mtime_ns: 0,
        base: base.then(|| {
            Box::new(Base {
                id: ContentId([7; 32]),
                size,
            })
        }),
    });
    let link = "[xy]\\PC?".prop_map(|target| Content::Link { target: target.into() });
    match kind {
        Kind::Dir => prop_oneof![19 => Just(Content::Dir).boxed(), 1 => file.boxed()].boxed(),
        Kind::File => prop_oneof![19 => file.boxed(), 1 => link.boxed()].boxed(),
        Kind::Link => prop_oneof![19 => link.boxed(), 1 => Just(Content::Dir).boxed()].boxed(),
    }
}

fn gone() -> impl Strategy<Value = Gone> {
    let register = prop_oneof![Just(Register::Place), Just(Register::Content), Just(Register::Gone)];
    let heads = prop::collection::btree_set((register, dot()), 0..4);
    (heads, prop::option::of(node_id())).prop_map(|(heads, under)| Gone {
        seen: heads
            .into_iter()
            .map(|(register, dot)| Head { register, dot })
            .collect::<Heads>(),
        under,
    })
}

/// Mostly in order, so that much of it passes the check.
fn values<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>, least: usize) -> impl Strategy<Value = Vec<(Dot, T)>> {
    (prop::collection::vec((dot(), value), least..4), 0..20).prop_map(|(mut all, wild)| {
        if wild > 0 {
            all.sort_by_key(|(d, _)| *d);
            all.dedup_by_key(|(d, _)| *d);
        }
        all
    })
}

fn node() -> impl Strategy<Value = Node> {
    (node_id(), kind(), 0u64..2).prop_flat_map(|(id, kind, born)| {
        let parent = prop_oneof![1 => Just(NodeId::ROOT), 3 => node_id()];
        let place = (parent, name()).prop_map(|(parent, name)| Place { parent, name });
        let context = prop::collection::vec(0u64..8, 4);
        (
            values(place, usize::from(born == 0)),
            values(content(kind), 1),
            values(any::<bool>(), 0),
            values(gone(), 0),
            context,
            0..10,
        )
            .prop_map(move |(places, contents, modes, gones, times, wild)| {
                let mut node = Node::unwritten(id, kind, born);
                node.places = places.into();
                node.contents = contents.into();
                node.modes = modes;
                node.gones = gones;
                // Mostly a context that covers what is there.
                let heads: Vec<Head> = node.heads().collect();
                for (replica, time) in (0..4).map(ReplicaId).zip(times) {
                    let needed = heads
                        .iter()
                        .map(|h| h.dot)
                        .chain([id.dot])
                        .filter(|d| d.replica == replica)
                        .map(|d| d.time)
                        .max();
                    let time = if wild > 0 {
                        needed.map_or(time, |t| t.max(time))
                    } else {
                        time
                    };
                    node.context.push((replica, time));
                }
                node
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a peer sends is refused or merged; nothing breaks, and what was merged can be shown, planned, listed and kept.
    #[test]
    fn hostile_nodes_break_nothing(nodes in prop::collection::vec(node(), 1..14)) {
        let mut replica = Replica::new(ReplicaId(9), Arc::new(ExactNames), Policy::Ask);
        let mut kept = BTreeMap::new();
        for node in nodes {
            let _ = node.check();
            let mut twin = node.clone();
            twin.merge(&Node::unwritten(node.id, node.kind, node.born));
            let _ = replica.receive(&Arc::new(node), 5);
            prop_assert!(replica.project(&|_| false).len() <= replica.node_count());
            replica.conflicts();
            for (node, sequence) in replica.take_changes().map(|c| c.nodes).unwrap_or_default() {
                prop_assert_eq!(node.check(), Ok(()));
                kept.insert(node.id, (node, sequence));
            }
        }
        let mut fresh = Replica::new(ReplicaId(9), Arc::new(ExactNames), Policy::Ask);
        fresh.load(replica.state(), kept.into_values(), []).unwrap();
        prop_assert_eq!(replica.project(&|_| false), fresh.project(&|_| false));
        prop_assert_eq!(replica.conflicts(), fresh.conflicts());
        let plan = replica.plan(&|_| true, usize::MAX);
        prop_assert!(plan.steps.len() <= 2 * replica.node_count());
        replica.collect();
    }

    /// Nodes that pass the check merge without breaking, whatever they say.
    #[test]
    fn merging_never_panics(a in node(), b in node()) {
        let mut both = a.clone();
        both.merge(&b);
        let _ = both.check();
    }
}
