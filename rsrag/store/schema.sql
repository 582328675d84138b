-- The catalog: the truth of a knowledge base. Chroma holds copies of `vectors` and can be rebuilt from it.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row per vector space. `encoder` is the id (architecture and weights) that made its vectors, `spec` what
-- to create to get that encoder again. `nulls` holds mean and deviation of unrelated pairs, as JSON.
CREATE TABLE spaces (
    name TEXT PRIMARY KEY, encoder TEXT NOT NULL, spec TEXT NOT NULL, dim INTEGER NOT NULL,
    nulls TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

-- `root` is a path, or `pack:NAME` for a pack that travels with the program; `options` what it was added with.
CREATE TABLE sources (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, role TEXT NOT NULL, root TEXT NOT NULL,
    license TEXT NOT NULL DEFAULT '', options TEXT NOT NULL DEFAULT '{}', added TEXT NOT NULL, updated TEXT NOT NULL
) WITHOUT ROWID;

-- `acquired` and `acquired_until` are seconds since 1970 in UTC. `months` has a bit for each month between them;
-- `local_months` the same six months later south of the equator, NULL where no place tells which half it is.
CREATE TABLE records (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL REFERENCES sources (name), id TEXT NOT NULL,
    subject TEXT NOT NULL, title TEXT NOT NULL, aliases TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '',
    license TEXT NOT NULL DEFAULT '', attribution TEXT NOT NULL DEFAULT '', facets TEXT NOT NULL DEFAULT '{}',
    west REAL, south REAL, east REAL, north REAL, acquired REAL, version TEXT NOT NULL,
    vectors INTEGER NOT NULL DEFAULT 1, acquired_until REAL, months INTEGER, local_months INTEGER,
    UNIQUE (source, id)
);
CREATE INDEX records_subject ON records (subject);
CREATE INDEX records_acquired ON records (acquired) WHERE acquired IS NOT NULL;
CREATE INDEX records_until ON records (acquired_until) WHERE acquired_until IS NOT NULL;
CREATE INDEX records_months ON records (months);
CREATE INDEX records_local_months ON records (local_months);

-- Never reuses a rowid: a reader between two statements must not meet another chunk under an old number.
CREATE TABLE chunks (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record INTEGER NOT NULL REFERENCES records (rowid),
    kind TEXT NOT NULL, part TEXT NOT NULL, ordinal INTEGER NOT NULL, text TEXT NOT NULL, image TEXT NOT NULL,
    page INTEGER, heading TEXT NOT NULL, content_hash TEXT NOT NULL
);
CREATE INDEX chunks_record ON chunks (record, kind, content_hash);
CREATE INDEX chunks_hash ON chunks (content_hash);

CREATE TABLE facts (
    record INTEGER NOT NULL REFERENCES records (rowid), subject TEXT NOT NULL, attribute TEXT NOT NULL,
    value TEXT NOT NULL, number REAL, unit TEXT NOT NULL, whenn TEXT NOT NULL
);
CREATE INDEX facts_subject ON facts (subject, attribute);
CREATE INDEX facts_record ON facts (record);

-- `number` is the value where it is one, so that 9 < 10.
CREATE TABLE facets (
    record INTEGER NOT NULL REFERENCES records (rowid), key TEXT NOT NULL, value TEXT NOT NULL, number REAL
);
CREATE INDEX facets_value ON facets (key, value);
CREATE INDEX facets_number ON facets (key, number) WHERE number IS NOT NULL;
CREATE INDEX facets_record ON facets (record);

-- Titles and aliases as a question may spell them (folded), so that whole names are found; `weight` ranks namesakes.
CREATE TABLE names (
    name TEXT NOT NULL, record INTEGER NOT NULL REFERENCES records (rowid), weight REAL NOT NULL,
    PRIMARY KEY (name, record)
) WITHOUT ROWID;
CREATE INDEX names_record ON names (record);

-- Short names and what they stand for, as records tell it, folded and each way: "ndvi", "normalized difference ...".
CREATE TABLE acronyms (
    name TEXT NOT NULL, other TEXT NOT NULL, record INTEGER NOT NULL REFERENCES records (rowid),
    PRIMARY KEY (name, other, record)
) WITHOUT ROWID;
CREATE INDEX acronyms_record ON acronyms (record);

-- Key concepts and topics that a model gave a text: further words by which it is found.
CREATE TABLE terms (content_hash TEXT PRIMARY KEY, terms TEXT NOT NULL, model TEXT NOT NULL) WITHOUT ROWID;

-- float32 rows. `indexed` is 0 until Chroma has acknowledged the row; such rows are sent again on the next open.
CREATE TABLE vectors (
    rowid INTEGER PRIMARY KEY, space TEXT NOT NULL, content_hash TEXT NOT NULL, vector BLOB NOT NULL,
    indexed INTEGER NOT NULL DEFAULT 0, UNIQUE (space, content_hash)
);
CREATE INDEX vectors_pending ON vectors (space) WHERE indexed = 0;

-- Contents whose chunks were removed, until the run is over and it is known whether others share them.
CREATE TABLE orphans (content_hash TEXT PRIMARY KEY) WITHOUT ROWID;

-- Vectors that are gone from here and still have to leave Chroma.
CREATE TABLE departed (space TEXT NOT NULL, content_hash TEXT NOT NULL, PRIMARY KEY (space, content_hash)) WITHOUT ROWID;

-- A box over the antimeridian has two rows.
CREATE VIRTUAL TABLE boxes USING rtree (id, west, east, south, north, +record INTEGER);

-- Outlines of the records whose box claims too much, as WKB in degrees, cut at the antimeridian.
CREATE TABLE footprints (record INTEGER PRIMARY KEY REFERENCES records (rowid), wkb BLOB NOT NULL);

-- A gazetteer's entries (records without vectors) are found by whole names, not by words.
CREATE VIEW chunk_words AS
    SELECT c.rowid AS rowid, r.title AS title, r.aliases AS aliases, c.heading || ' ' || c.text AS text,
        coalesce(t.terms, '') AS terms
    FROM chunks c JOIN records r ON r.rowid = c.record LEFT JOIN terms t ON t.content_hash = c.content_hash
    WHERE r.vectors;
CREATE VIRTUAL TABLE words USING fts5 (
    title, aliases, text, terms, content = 'chunk_words', tokenize = "porter unicode61 remove_diacritics 2"
);
