-- The lot of a run: what earlier runs of it tell of the next is asked by it. A unit's own lot may be corrected later.

ALTER TABLE run ADD COLUMN lot TEXT;
UPDATE run SET lot = (SELECT unit.lot FROM unit WHERE unit.id = run.unit_id);
CREATE INDEX run_of_lot ON run (lot) WHERE lot IS NOT NULL;
