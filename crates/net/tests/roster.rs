//! Rosters: the same on all devices that have the same entries, and closed to those who may not.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use bifold_net::roster::{Entry, MAX_NAME_BYTES, MAX_OF_ITSELF, Role, Roster, RosterError};
use iroh::SecretKey;
use proptest::prelude::*;

const FOLDER: u64 = 7;

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n + 1; 32])
}

fn device(n: u8) -> [u8; 32] {
    *key(n).public().as_bytes()
}

fn founded() -> Roster {
    Roster::found(FOLDER, &key(0), "founder").unwrap()
}

fn all(roster: &Roster) -> Vec<Entry> {
    roster.entries().cloned().collect()
}

#[test]
fn an_owner_invites_and_whom_it_invites_as_owner_does_too() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Owner, "second").unwrap();
    let mut b = Roster::joined(FOLDER, a.root());
    b.merge(all(&a)).unwrap();
    b.set(&key(1), device(2), Role::Reader, "third").unwrap();
    a.merge(all(&b)).unwrap();
    assert_eq!(a.role(&device(2)), Some(Role::Reader));
    assert_eq!(a.members(), b.members());
    assert!(a.admits(&device(2)) && !a.admits(&device(3)));
}

#[test]
fn who_may_not_cannot() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Editor, "editor").unwrap();
    let refused = |r: Result<Entry, RosterError>| assert_eq!(r.unwrap_err(), RosterError::NotAllowed);
    refused(a.set(&key(1), device(2), Role::Editor, "friend"));
    refused(a.set(&key(1), device(1), Role::Owner, "me"));
    refused(a.set(&key(5), device(5), Role::Owner, "stranger"));
    // But one may go, and take another name.
    a.set(&key(1), device(1), Role::Editor, "renamed").unwrap();
    assert_eq!(a.members()[&device(1)].name, "renamed");
    a.set(&key(1), device(1), Role::Removed, "renamed").unwrap();
    assert!(!a.admits(&device(1)));
    // A stranger's own folder is another one, whatever its number.
    let mut theirs = Roster::found(FOLDER, &key(5), "stranger").unwrap();
    theirs.set(&key(5), device(6), Role::Owner, "friend").unwrap();
    a.merge(all(&theirs)).unwrap();
    assert!(!a.admits(&device(5)) && !a.admits(&device(6)));
    let other = Roster::found(8, &key(0), "founder").unwrap();
    assert_eq!(a.merge(all(&other)), Err(RosterError::OtherFolder));
    assert!(Roster::found(FOLDER, &key(0), &"x".repeat(MAX_NAME_BYTES + 1)).is_err());
}

#[test]
fn a_removed_owner_signs_in_vain() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Owner, "second").unwrap();
    let mut b = a.clone();
    a.set(&key(0), device(1), Role::Removed, "second").unwrap();
    // It has not heard of that, or says so.
    b.set(&key(1), device(2), Role::Owner, "friend").unwrap();
    b.set(&key(2), device(3), Role::Owner, "friend's friend").unwrap();
    a.merge(all(&b)).unwrap();
    b.merge(all(&a)).unwrap();
    for roster in [&a, &b] {
        assert!(!roster.admits(&device(1)) && !roster.admits(&device(2)) && !roster.admits(&device(3)));
    }
    // Invited once more it is as any other.
    a.set(&key(0), device(1), Role::Owner, "second").unwrap();
    a.set(&key(1), device(4), Role::Editor, "fourth").unwrap();
    assert_eq!(a.role(&device(4)), Some(Role::Editor));
    assert!(!a.admits(&device(2)));
}

#[test]
fn of_two_owners_who_remove_each_other_the_senior_stays() {
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let mut a = founded();
        a.set(&key(0), device(1), Role::Owner, "second").unwrap();
        let mut b = a.clone();
        a.set(&key(0), device(3), Role::Editor, "third").unwrap();
        a.set(&key(0), device(1), Role::Removed, "second").unwrap();
        // Whatever it signs, as of before.
        b.set(&key(1), device(1), Role::Owner, name).unwrap();
        b.set(&key(1), device(0), Role::Removed, name).unwrap();
        a.merge(all(&b)).unwrap();
        b.merge(all(&a)).unwrap();
        for roster in [&a, &b] {
            assert_eq!(roster.role(&device(0)), Some(Role::Owner), "{name}");
            assert!(!roster.admits(&device(1)) && roster.admits(&device(3)), "{name}");
        }
    }
}

#[test]
fn who_was_made_less_signs_in_vain() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Owner, "second").unwrap();
    let mut b = a.clone();
    a.set(&key(0), device(1), Role::Editor, "second").unwrap();
    b.set(&key(1), device(2), Role::Owner, "friend").unwrap();
    a.merge(all(&b)).unwrap();
    assert!(!a.admits(&device(2)));
    assert_eq!(a.role(&device(1)), Some(Role::Editor));
}

#[test]
fn what_strangers_sign_is_not_kept() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Editor, "second").unwrap();
    let mut forged = a.clone();
    let before = all(&a).len();
    assert_eq!(forged.set(&key(7), device(8), Role::Owner, "x"), Err(RosterError::NotAllowed));
    // An editor, who may only say less of itself.
    assert_eq!(forged.set(&key(1), device(8), Role::Owner, "x"), Err(RosterError::NotAllowed));
    forged.set(&key(1), device(1), Role::Reader, "x").unwrap();
    a.merge(all(&forged)).unwrap();
    assert_eq!((all(&a).len(), a.role(&device(1))), (before + 1, Some(Role::Reader)));
}

#[test]
fn who_may_only_read_cannot_fill_it() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Reader, "reader").unwrap();
    a.set(&key(0), device(2), Role::Owner, "second").unwrap();
    // Each right by itself, as none knows of another.
    let told = a.clone();
    let words: Vec<Entry> = (0..2_000)
        .map(|n| told.clone().set(&key(1), device(1), Role::Reader, &format!("{n}")).unwrap())
        .collect();
    let mut b = a.clone();
    for some in words.chunks(500) {
        a.merge(some.to_vec()).unwrap();
    }
    for some in words.chunks(300).rev() {
        b.merge(some.to_vec()).unwrap();
    }
    assert!(all(&a).len() <= 3 + MAX_OF_ITSELF, "{} entries", all(&a).len());
    assert_eq!(all(&a), all(&b), "the same ones are kept, in whatever order they came");
    // One that an owner knew of is kept: what that owner says hangs on it.
    let kept = all(&a);
    b.set(&key(2), device(3), Role::Editor, "third").unwrap();
    a.merge(all(&b)).unwrap();
    for some in words.chunks(500) {
        a.merge(some.to_vec()).unwrap();
    }
    assert!(kept.iter().all(|entry| all(&a).contains(entry)));
    assert_eq!(a.role(&device(3)), Some(Role::Editor));
    a.set(&key(0), device(1), Role::Removed, "reader").unwrap();
    assert!(!a.admits(&device(1)));
}

#[test]
fn who_may_only_read_cannot_make_what_an_owner_says_wait() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Reader, "reader").unwrap();
    let told = a.clone();
    // Each knows of the one before, and the owner of all.
    for n in 0..MAX_OF_ITSELF {
        a.set(&key(1), device(1), Role::Reader, &format!("{n}")).unwrap();
    }
    a.set(&key(0), device(1), Role::Removed, "reader").unwrap();
    let words: Vec<Entry> = (0..500)
        .map(|n| {
            told.clone()
                .set(&key(1), device(1), Role::Reader, &format!("other {n}"))
                .unwrap()
        })
        .collect();
    let mut b = told;
    b.merge(words.clone()).unwrap();
    b.merge(all(&a)).unwrap();
    a.merge(words).unwrap();
    for roster in [&a, &b] {
        assert!(!roster.admits(&device(1)), "it is back, as what the removal hangs on is gone");
        assert!(all(roster).len() <= 3 + 2 * MAX_OF_ITSELF, "{} entries", all(roster).len());
    }
}

#[test]
fn taking_away_wins_over_giving_at_the_same_time() {
    let mut a = founded();
    a.set(&key(0), device(1), Role::Owner, "second").unwrap();
    a.set(&key(0), device(2), Role::Editor, "third").unwrap();
    let mut b = a.clone();
    a.set(&key(0), device(2), Role::Owner, "third").unwrap();
    b.set(&key(1), device(2), Role::Reader, "third").unwrap();
    a.merge(all(&b)).unwrap();
    assert_eq!(a.role(&device(2)), Some(Role::Reader));
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let a = founded();
    let bytes = postcard::to_stdvec(&all(&a)[0]).unwrap();
    for i in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1;
        let Ok(entry) = postcard::from_bytes::<Entry>(&damaged) else {
            continue;
        };
        let mut b = Roster::joined(FOLDER, a.root());
        assert!(b.merge([entry]).is_err(), "byte {i}");
        assert!(b.members().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Some devices set each other's roles, and hear of each other now and then; at the end all have all, in other orders.
    #[test]
    fn rosters_converge(steps in prop::collection::vec((0u8..5, 0u8..5, 0u8..4, any::<bool>(), 0u8..5), 1..20), reversed in any::<bool>()) {
        let mut rosters: Vec<Roster> = (0..5).map(|_| founded()).collect();
        for (by, about, role, hears, from) in steps {
            if hears {
                let entries = all(&rosters[from as usize]);
                rosters[by as usize].merge(entries).unwrap();
            }
            let role = [Role::Removed, Role::Reader, Role::Editor, Role::Owner][role as usize];
            let _ = rosters[by as usize].set(&key(by), device(about), role, "x");
        }
        let mut entries: Vec<Entry> = rosters.iter().flat_map(all).collect();
        for roster in &mut rosters {
            roster.merge(entries.clone()).unwrap();
        }
        if reversed {
            entries.reverse();
        }
        let mut one_by_one = Roster::joined(FOLDER, rosters[0].root());
        for _ in 0..entries.len() {
            // An entry whose signer is not known as an owner yet is not kept, and comes again with the others.
            for entry in &entries {
                one_by_one.merge([entry.clone()]).unwrap();
            }
        }
        for roster in &rosters {
            prop_assert_eq!(roster.members(), one_by_one.members());
        }
        prop_assert!(one_by_one.role(&device(0)).is_some());
    }
}
