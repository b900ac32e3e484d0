-- What happened in each replica, for people: what was done on its disk, and what came from others. Old entries are dropped.
CREATE TABLE log (
    id        INTEGER PRIMARY KEY NOT NULL, -- newer ones are higher
    replica   INTEGER NOT NULL, -- replica.key
    time_ms   INTEGER NOT NULL, -- when it was seen here, in milliseconds
    writer    INTEGER NOT NULL, -- the ReplicaId that did it
    what      TEXT NOT NULL CHECK (what IN ('added', 'edited', 'moved', 'deleted', 'mode')),
    path      TEXT NOT NULL,    -- in the tree's names; of many at once, the directory that they have in common
    from_path TEXT,             -- of what was moved, where that is known
    size      INTEGER NOT NULL, -- in bytes; of many, of all
    count     INTEGER NOT NULL  -- how many; mostly 1
) STRICT;

CREATE INDEX log_replica ON log (replica, id);
