//! Same size, same times, same inode, other bytes: an ordinary survey cannot see it, a thorough one does.
#![allow(clippy::unwrap_used, reason = "a test")]

use bifold_tree::{Bytes, ContentId, ExactNames, FileKey, Fingerprint, Kind, Listed, Policy, Replica, ReplicaId, Stat, Survey};
use std::sync::Arc;

fn file() -> Stat {
    Stat {
        kind: Kind::File,
        key: FileKey(7),
        print: Fingerprint {
            size: 3,
            mtime_ns: 5,
            ctime_ns: 0,
        },
        exec: Some(false),
    }
}

fn scan(replica: &mut Replica, mut survey: Survey, bytes: [u8; 32]) -> (usize, usize) {
    let entries: Vec<Listed> = vec![("a".into(), Some(file()))];
    survey.listed(replica, "", &entries);
    let unread = survey.unread(replica);
    for (index, path, stat) in &unread {
        assert_eq!(path, "a");
        survey.read(*index, Bytes::File(ContentId(bytes)), *stat);
    }
    (unread.len(), replica.observe(survey, 1_000).operations)
}

#[test]
fn a_change_that_nothing_tells_is_found_by_reading() {
    let mut replica = Replica::new(ReplicaId(1), Arc::new(ExactNames), Policy::Ask);
    assert_eq!(
        scan(&mut replica, Survey::new(), [1; 32]),
        (1, 2),
        "born: a place and a content"
    );
    assert_eq!(scan(&mut replica, Survey::new(), [2; 32]), (0, 0), "looks unchanged");
    assert_eq!(scan(&mut replica, Survey::thorough(), [1; 32]), (1, 0), "read, and the same");
    assert_eq!(scan(&mut replica, Survey::thorough(), [2; 32]), (1, 1), "read, and another");
    assert_eq!(replica.recorded_at("a").unwrap().bytes, Bytes::File(ContentId([2; 32])));
}
