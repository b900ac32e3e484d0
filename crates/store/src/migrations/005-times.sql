-- The last times that a replica gave to its own writes. Who has heard of another time of this replica knows more of it than this index,
-- which was then put back from an older state, and written to since.
CREATE TABLE time (
    replica INTEGER NOT NULL, -- replica.key
    time    INTEGER NOT NULL, -- as in a dot
    PRIMARY KEY (replica, time)
) STRICT, WITHOUT ROWID;
