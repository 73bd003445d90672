-- The register of information units, as its installer puts it into a database.
--
-- Run it once, in one transaction, as the role that is to own it. The role that works with it, the runner, may read
-- two tables and call three functions; it writes no table by itself. `install.rs` runs this file and grants that.
-- Every function runs with its owner's rights (SECURITY DEFINER). So each pins its search path, pg_temp last, and
-- qualifies every name: a caller can then put no object of its own in front of what is meant.

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA iu;

-- Tables ---------------------------------------------------------------------------------------------------------

-- Rules for every writer. The functions below refuse the same violations with a message that names the remedy.
CREATE TABLE iu.unit (
    document    text        NOT NULL,
    address     text        NOT NULL,
    parent      text,
    position    integer,
    title       text        NOT NULL,
    body        text        NOT NULL,
    digest      text        NOT NULL,
    state       text        NOT NULL DEFAULT 'draft',
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    enacted_at  timestamptz,
    PRIMARY KEY (document, address),
    CONSTRAINT unit_parent_is_a_unit FOREIGN KEY (document, parent) REFERENCES iu.unit (document, address),
    -- The digest is taken over title, line feed, body: a title of two lines would make that ambiguous.
    CONSTRAINT unit_title_is_one_line CHECK (title ~ '[^[:space:]]' AND title !~ '[[:cntrl:]]'),
    CONSTRAINT unit_body_is_not_blank CHECK (body ~ '[^[:space:]]'),
    CONSTRAINT unit_has_a_place CHECK (position IS NULL AND parent IS NULL
                                       OR position IS NOT NULL AND position >= 0 AND parent IS DISTINCT FROM address),
    CONSTRAINT unit_state_is_known CHECK (state = 'draft' AND enacted_at IS NULL
                                          OR state = 'enacted' AND enacted_at IS NOT NULL AND position IS NOT NULL)
);

-- Two siblings never share a place. The document comes last: as the first column it would make the planner take this
-- index for the primary key's work as long as the table has no statistics, and read the whole document for each unit.
CREATE UNIQUE INDEX unit_place ON iu.unit ((COALESCE(parent, '')), position, document) WHERE position IS NOT NULL;

CREATE TABLE iu.lifecycle_log (
    entry       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document    text        NOT NULL,
    address     text        NOT NULL,
    from_state  text,
    to_state    text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    by          name        NOT NULL DEFAULT SESSION_USER,
    FOREIGN KEY (document, address) REFERENCES iu.unit (document, address)
);

-- What the register no longer accepts. Only the server knows it: no client may read this table, and no dry run can.
CREATE TABLE iu.withdrawn_term (
    term        text        PRIMARY KEY,
    reason      text        NOT NULL,
    CONSTRAINT withdrawn_term_is_words CHECK (term ~ '^[[:alnum:]]+( [[:alnum:]]+)*$'),
    CONSTRAINT withdrawn_term_has_a_reason CHECK (reason ~ '[^[:space:]]')
);

INSERT INTO iu.withdrawn_term (term, reason) VALUES
    ('Lorem ipsum dolor', 'It is filler that stands where a text was to be written.'),
    ('Chamber of Sealed Ledgers', 'The chamber was dissolved in 1931; its duties passed to the Reading Room Council.');

-- The log ----------------------------------------------------------------------------------------------------------

CREATE FUNCTION iu.log_lifecycle() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO iu.lifecycle_log (document, address, to_state) VALUES (NEW.document, NEW.address, NEW.state);
    ELSIF OLD.state IS DISTINCT FROM NEW.state THEN
        INSERT INTO iu.lifecycle_log (document, address, from_state, to_state)
        VALUES (NEW.document, NEW.address, OLD.state, NEW.state);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER unit_lifecycle AFTER INSERT OR UPDATE OF state ON iu.unit
    FOR EACH ROW EXECUTE FUNCTION iu.log_lifecycle();

-- Reading the input ------------------------------------------------------------------------------------------------

-- Refuses anything but an object with exactly these fields. A misspelt field would else pass for a missing one.
CREATE FUNCTION iu.check_fields(input jsonb, VARIADIC fields text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected CONSTANT text := pg_catalog.array_to_string(fields, ', ');
BEGIN
    IF pg_catalog.jsonb_typeof(input) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the input is not a JSON object'
            USING ERRCODE = 'IU001', HINT = pg_catalog.format('Give an object with the fields %s.', expected);
    END IF;
    IF NOT input ?& fields OR input - fields <> '{}' THEN
        RAISE EXCEPTION 'the input does not have the right fields'
            USING ERRCODE = 'IU001',
                  DETAIL = pg_catalog.format('It has: %s.', (SELECT pg_catalog.string_agg(k, ', ' ORDER BY k)
                                                             FROM pg_catalog.jsonb_object_keys(input) AS k)),
                  HINT = pg_catalog.format('Give exactly these: %s.', expected);
    END IF;
END
$$;

-- The text in a field of the input; refuses what is no string, and blank ones.
CREATE FUNCTION iu.text_in(input jsonb, field text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value CONSTANT text := input ->> field;
BEGIN
    IF pg_catalog.jsonb_typeof(input -> field) IS DISTINCT FROM 'string' OR value !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'the field "%" is not a string, or is blank', field
            USING ERRCODE = 'IU001',
                  DETAIL = pg_catalog.format('Document %s, address %s.', input -> 'document', input -> 'address'),
                  HINT = pg_catalog.format('Give the %s of the unit.', field);
    END IF;
    RETURN value;
END
$$;

-- The unit that a function is about to change, locked. Refuses an unknown one, and one that is no longer a draft.
CREATE FUNCTION iu.draft_in(input jsonb, OUT unit iu.unit)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_document CONSTANT text := iu.text_in(input, 'document');
    in_address  CONSTANT text := iu.text_in(input, 'address');
BEGIN
    SELECT * INTO unit FROM iu.unit AS u WHERE u.document = in_document AND u.address = in_address FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'document "%" has no unit %', in_document, in_address
            USING ERRCODE = 'IU004', HINT = 'Create the unit first.';
    END IF;
    IF unit.state <> 'draft' THEN
        RAISE EXCEPTION 'unit % of document "%" is not a draft', in_address, in_document
            USING ERRCODE = 'IU005',
                  DETAIL = pg_catalog.format('It was enacted at %s.', unit.enacted_at),
                  HINT = 'An enacted unit is final; amend it with another unit.';
    END IF;
END
$$;

-- What the runner calls --------------------------------------------------------------------------------------------

-- Creates a draft from {document, address, title, body, digest}; the digest is SHA-256 over title, line feed, body.
--   IU001 invalid input    IU002 digest mismatch    IU003 withdrawn term    IU006 the address is taken
CREATE FUNCTION iu.fn_iu_create(input jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_document text;
    in_address  text;
    in_title    text;
    in_body     text;
    in_digest   text;
    digest_here text;
    withdrawn   iu.withdrawn_term;
BEGIN
    PERFORM iu.check_fields(input, 'document', 'address', 'title', 'body', 'digest');
    in_document := iu.text_in(input, 'document');
    in_address  := iu.text_in(input, 'address');
    in_title    := iu.text_in(input, 'title');
    in_body     := iu.text_in(input, 'body');
    in_digest   := iu.text_in(input, 'digest');

    IF pg_catalog.length(in_document) > 200 OR pg_catalog.length(in_address) > 100
       OR in_address !~ '^(0|[1-9][0-9]*([.][1-9][0-9]*)*)$' OR in_title ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'unit % of document "%" is malformed', in_address, in_document
            USING ERRCODE = 'IU001',
                  HINT = 'An address is 0, or a path such as 1.2.3, of 100 characters at most; a document has a name of 200 '
                         'characters at most; a title is one line.';
    END IF;

    digest_here := pg_catalog.encode(
        pg_catalog.sha256(pg_catalog.convert_to(in_title || pg_catalog.chr(10) || in_body, 'UTF8')), 'hex');
    IF in_digest <> digest_here THEN
        RAISE EXCEPTION 'unit % of document "%" does not have the digest that was given', in_address, in_document
            USING ERRCODE = 'IU002',
                  DETAIL = pg_catalog.format('Given %s, found %s.', in_digest, digest_here),
                  HINT = 'The text was changed on its way here; cut the document again.';
    END IF;

    -- As whole words, in capitals or not, and also where a line ends between them.
    SELECT w.* INTO withdrawn FROM iu.withdrawn_term AS w
    WHERE (in_title || pg_catalog.chr(10) || in_body)
          ~* ('[[:<:]]' || pg_catalog.replace(w.term, ' ', '[[:space:]]+') || '[[:>:]]')
    ORDER BY w.term LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unit % of document "%" uses the withdrawn term "%"', in_address, in_document, withdrawn.term
            USING ERRCODE = 'IU003', DETAIL = withdrawn.reason,
                  HINT = 'Replace the term in the text, and have the changed plan approved.';
    END IF;

    INSERT INTO iu.unit (document, address, title, body, digest)
    VALUES (in_document, in_address, in_title, in_body, in_digest) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'document "%" already has a unit %', in_document, in_address
            USING ERRCODE = 'IU006', HINT = 'Cut the document under another name, or leave this unit out.';
    END IF;
    RETURN pg_catalog.jsonb_build_object('ok', true, 'address', in_address, 'digest', in_digest);
END
$$;

-- Gives a draft its place from {document, address, parent, position}; the parent is null at the top of the document. Position 0 is
-- that of a preamble, which comes before the first heading.
--   IU001 invalid input    IU004 unknown unit or parent    IU005 not a draft    IU007 a cycle, or the place is taken
CREATE FUNCTION iu.fn_iu_link(input jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_parent   text;
    in_position integer;
    draft       iu.unit;
    above       text;
    holder      text;
BEGIN
    PERFORM iu.check_fields(input, 'document', 'address', 'parent', 'position');
    IF input -> 'parent' <> 'null' THEN
        in_parent := iu.text_in(input, 'parent');
    END IF;
    IF pg_catalog.jsonb_typeof(input -> 'position') <> 'number' OR input ->> 'position' !~ '^(0|[1-9][0-9]{0,8})$' THEN
        RAISE EXCEPTION 'the position % is not a whole number from 0', input -> 'position'
            USING ERRCODE = 'IU001',
                  DETAIL = pg_catalog.format('Document %s, address %s.', input -> 'document', input -> 'address'),
                  HINT = 'Give the place of the unit among its siblings, counted from 1.';
    END IF;
    in_position := input ->> 'position';
    draft := iu.draft_in(input);

    -- From the parent to the top; finding the draft on this way means that a cycle would be closed. Each row is locked as it is
    -- passed, or two links at once, each harmless by itself, could close one together.
    above := in_parent;
    WHILE above IS NOT NULL LOOP
        IF above = draft.address THEN
            RAISE EXCEPTION 'unit % of document "%" cannot stand below %', draft.address, draft.document, in_parent
                USING ERRCODE = 'IU007', DETAIL = 'It would contain itself.', HINT = 'Give another parent.';
        END IF;
        SELECT u.parent INTO above FROM iu.unit AS u
        WHERE u.document = draft.document AND u.address = above FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'document "%" has no unit %, the parent of unit %', draft.document, in_parent, draft.address
                USING ERRCODE = 'IU004', HINT = 'Create all units before you link them.';
        END IF;
    END LOOP;

    SELECT u.address INTO holder FROM iu.unit AS u
    WHERE u.document = draft.document AND COALESCE(u.parent, '') = COALESCE(in_parent, '')
      AND u.position = in_position AND u.address <> draft.address;
    IF FOUND THEN
        RAISE EXCEPTION 'unit % of document "%" cannot have position %', draft.address, draft.document, in_position
            USING ERRCODE = 'IU007', DETAIL = pg_catalog.format('Unit %s has it.', holder),
                  HINT = 'Give each of the siblings a position of its own.';
    END IF;

    UPDATE iu.unit SET parent = in_parent, position = in_position
    WHERE document = draft.document AND address = draft.address;
    RETURN pg_catalog.jsonb_build_object(
        'ok', true, 'address', draft.address, 'parent', in_parent, 'position', in_position);
END
$$;

-- Puts a draft into force, from {document, address}; first the parent, then what it contains.
--   IU001 invalid input    IU004 unknown unit    IU005 not a draft    IU008 not linked, or its parent is not in force
CREATE FUNCTION iu.fn_iu_enact(input jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    draft iu.unit;
BEGIN
    PERFORM iu.check_fields(input, 'document', 'address');
    draft := iu.draft_in(input);
    IF draft.position IS NULL THEN
        RAISE EXCEPTION 'unit % of document "%" has no place yet', draft.address, draft.document
            USING ERRCODE = 'IU008', HINT = 'Link the unit first.';
    END IF;
    -- An enacted unit stays enacted: what is read here needs no lock.
    IF draft.parent IS NOT NULL AND NOT EXISTS (
        SELECT FROM iu.unit AS u
        WHERE u.document = draft.document AND u.address = draft.parent AND u.state = 'enacted') THEN
        RAISE EXCEPTION 'unit % of document "%" cannot be enacted before its parent', draft.address, draft.document
            USING ERRCODE = 'IU008', DETAIL = pg_catalog.format('Its parent, unit %s, is a draft.', draft.parent),
                  HINT = 'Enact the units in the order of the document.';
    END IF;
    UPDATE iu.unit SET state = 'enacted', enacted_at = pg_catalog.clock_timestamp()
    WHERE document = draft.document AND address = draft.address;
    RETURN pg_catalog.jsonb_build_object('ok', true, 'address', draft.address, 'state', 'enacted');
END
$$;

-- Rights -----------------------------------------------------------------------------------------------------------

REVOKE ALL ON SCHEMA iu FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA iu FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA iu FROM PUBLIC;
