-- How long files have been in the history, by a time of its own that no clock can set forth or back by much: see `Tx::age_history`.
ALTER TABLE history ADD COLUMN since_ms INTEGER; -- that time when a tidying saw it first; null: none has yet

CREATE INDEX history_since ON history (since_ms);

-- One row: the last tidying.
CREATE TABLE tidied (
    id      INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    wall_ms INTEGER,         -- when it was, in milliseconds; null: there was none
    own_ms  INTEGER NOT NULL -- the history's own time then
) STRICT;

INSERT INTO tidied (id, own_ms) VALUES (1, 0);
