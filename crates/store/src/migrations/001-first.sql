-- The first schema.
--
-- Random 64-bit numbers (ids, tokens) are kept as the signed integer of the same bits. Milliseconds count from 1970, UTC.
-- A `body` or `state` is a value of bifold-tree in postcard, followed by a check of 4 bytes: see src/sealed.rs. When such a
-- type changes, a migration rewrites the rows.
-- A `prefix` is the first 8 bytes of a hash, big-endian, as a signed integer: short enough for an index, and whatever is
-- found by it is compared with the whole hash.
-- There are no foreign keys: `forget_replica` removes what belongs to a replica, and `prune` what belongs to a manifest.

-- What is shared.
CREATE TABLE folder (
    id   INTEGER PRIMARY KEY NOT NULL, -- FolderId
    name TEXT NOT NULL                 -- for people
) STRICT;

-- Folders as they lie on this device, or on a disk that it hosts.
CREATE TABLE replica (
    key           INTEGER PRIMARY KEY NOT NULL, -- a small number for the tables below
    id            INTEGER NOT NULL UNIQUE,      -- ReplicaId
    folder        INTEGER NOT NULL,             -- folder.id
    root          BLOB NOT NULL,                -- the root's path: of Unix its bytes, of Windows its UTF-16, little-endian
    root_text     TEXT NOT NULL,                -- the same for people who look into this file; never read back
    root_device   INTEGER NOT NULL,             -- the root directory's device number
    root_inode    INTEGER NOT NULL,             -- the root directory's inode number, or the system's file index
    token         INTEGER NOT NULL,             -- what the marker in the root says
    token_pending INTEGER,                      -- what it is about to say; null: nothing
    alive         INTEGER NOT NULL CHECK (alive IN (0, 1)), -- 0: a writer of the past; its id is never used again
    state         BLOB                          -- ReplicaState; null: nothing was observed yet
) STRICT;

-- One root has one writer.
CREATE UNIQUE INDEX replica_root ON replica (root) WHERE alive = 1;

-- The replicated tree.
CREATE TABLE node (
    replica  INTEGER NOT NULL, -- replica.key
    id       BLOB NOT NULL,    -- NodeId, 20 bytes, big-endian: time (8), replica (8), index (4); so rows stand by age
    sequence INTEGER NOT NULL, -- the replica's sequence number at the node's last change
    body     BLOB NOT NULL,    -- Node
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;

-- What a disk shows, one row for each path.
CREATE TABLE record (
    replica INTEGER NOT NULL, -- replica.key
    id      INTEGER NOT NULL, -- RecordId
    prefix  INTEGER,          -- of the content id of a file; null: a directory or a link
    body    BLOB NOT NULL,    -- StoredRecord
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_content ON record (prefix, replica) WHERE prefix IS NOT NULL;

-- The chunk lists of contents that have several chunks.
CREATE TABLE manifest (
    key    INTEGER PRIMARY KEY NOT NULL, -- a small number for the table below; newer ones are higher
    prefix INTEGER NOT NULL,             -- of the content id
    id     BLOB NOT NULL,                -- ContentId, 32 bytes
    size   INTEGER NOT NULL,             -- the content's size in bytes
    chunks BLOB NOT NULL                 -- Manifest::encode, 36 bytes for each chunk; the content id proves it
) STRICT;

CREATE INDEX manifest_content ON manifest (prefix);

-- In which of those contents a chunk lies, and where first.
CREATE TABLE chunk (
    prefix   INTEGER NOT NULL, -- of the chunk's id
    manifest INTEGER NOT NULL, -- manifest.key
    start    INTEGER NOT NULL, -- in bytes from the content's beginning
    PRIMARY KEY (prefix, manifest)
) STRICT, WITHOUT ROWID;

-- Files that were taken away or replaced, and lie in `.bifold/history` of their root.
CREATE TABLE history (
    replica INTEGER NOT NULL, -- replica.key
    stored  TEXT NOT NULL,    -- its name in `.bifold/history`
    prefix  INTEGER NOT NULL, -- of the content id
    content BLOB NOT NULL,    -- ContentId, 32 bytes
    path    TEXT NOT NULL,    -- where it was, below the root, in the tree's names
    time_ms INTEGER NOT NULL, -- when it was taken away, in milliseconds
    reason  TEXT NOT NULL CHECK (reason IN ('replaced', 'deleted')),
    size    INTEGER NOT NULL, -- in bytes
    PRIMARY KEY (replica, stored)
) STRICT, WITHOUT ROWID;

CREATE INDEX history_content ON history (prefix);
CREATE INDEX history_time ON history (time_ms);

-- One row, counted up to bring all earlier commits to the disk: see `Tx::durable`.
CREATE TABLE durable (
    id    INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO durable (id, count) VALUES (1, 0);
