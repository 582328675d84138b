CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL DEFAULT '',
  kb TEXT NOT NULL,
  model TEXT NOT NULL,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  settings TEXT NOT NULL DEFAULT '{}',
  focus TEXT
);

CREATE TABLE exchanges (
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  question TEXT NOT NULL,
  status TEXT NOT NULL,
  told TEXT NOT NULL,            -- what was understood, the settings, marks: JSON
  answer TEXT,                   -- JSON without the evidence, of which it holds the numbers
  partial TEXT NOT NULL DEFAULT '',
  started TEXT NOT NULL,
  ended TEXT,
  undone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (session, number)
) WITHOUT ROWID;

-- An answer as it streams in. A row is there only as long as its exchange is running, or was killed.
CREATE TABLE pieces (
  id INTEGER PRIMARY KEY,
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX pieces_of ON pieces (session, number);

CREATE TABLE evidence (
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  key TEXT NOT NULL,
  data TEXT NOT NULL,            -- JSON
  PRIMARY KEY (session, number)
) WITHOUT ROWID;

CREATE TABLE scenes (
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  letter TEXT NOT NULL,
  uri TEXT NOT NULL,
  options TEXT NOT NULL DEFAULT '{}',
  dropped_at TEXT,
  PRIMARY KEY (session, ordinal)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE words USING fts5 (
  question, answer, session UNINDEXED, number UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
);
