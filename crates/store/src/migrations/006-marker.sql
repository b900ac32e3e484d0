-- Which object a replica's marker was when it was written, and when that was changed last, as its disk told; NULL where that is not known. A
-- marker that is another object, and was changed at another time, was put back from a backup, with all that it tells of.
ALTER TABLE replica ADD COLUMN marker_key INTEGER;
ALTER TABLE replica ADD COLUMN marker_changed INTEGER; -- nanoseconds since 1970
