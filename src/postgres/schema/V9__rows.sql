-- Performs a prepared statement once, with these arguments, and answers how many rows it changed. `statement` is EXECUTE
-- with a %L for each argument, made by the caller: it is performed with the caller's own rights, and says no more than the
-- caller could. Its names are looked up where the caller's are, so it pins no search_path. Named in a query over many rows,
-- it saves each of them its round trip, and to the server each is still a statement of its own.
CREATE FUNCTION phasegate.perform_row(statement text, VARIADIC arguments text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    changed bigint;
BEGIN
    EXECUTE pg_catalog.format(statement, VARIADIC arguments) INTO changed;
    RETURN changed;
END
$$;

GRANT EXECUTE ON FUNCTION phasegate.perform_row TO phasegate_runner;
