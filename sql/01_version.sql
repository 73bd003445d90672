-- The versions of the schema that were installed. `install` reads it, and writes one row for each
-- version that it applies. First, since everything after it belongs to a version.

CREATE TABLE phasegate.schema_version (
    version integer PRIMARY KEY,
    digest text NOT NULL, -- SHA-256 of the SQL, in hexadecimal digits
    installed_by text NOT NULL DEFAULT session_user,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
