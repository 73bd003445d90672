-- Statements of the phase's own role, many in one message.

-- Executes a prepared statement once, with these arguments, and returns how many rows it changed.
-- `p_statement` is EXECUTE with a %L for each argument, made by the caller: it is executed with the
-- caller's privileges, and does nothing that the caller could not. Its names are resolved as the
-- caller's are, so it pins no search_path. Named in a query over many rows, it saves a round trip
-- for each of them, and to the server each is still a statement of its own.
CREATE FUNCTION phasegate.perform_row(p_statement text, VARIADIC p_arguments text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_changed bigint;
BEGIN
    EXECUTE pg_catalog.format(p_statement, VARIADIC p_arguments) INTO v_changed;
    RETURN v_changed;
END
$$;
