-- Whether steps are being taken on the replica's disk: what they did and is not noted is no doing of its user. 1 since the plan was made,
-- 0 once it was carried out; still 1 when the index is opened: the program was ended in between.
ALTER TABLE replica ADD COLUMN carrying INTEGER NOT NULL DEFAULT 0 CHECK (carrying IN (0, 1));
