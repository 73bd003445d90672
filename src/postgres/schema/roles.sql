-- The roles, which belong to the whole cluster, and the schema. Performed at every install.
DO $roles$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['phasegate_owner', 'phasegate_operator', 'phasegate_runner', 'phasegate_auditor'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- an install into another database of the cluster was faster
        END;
    END LOOP;
    -- To end sessions that can no longer commit, and to name who holds up whom.
    IF NOT pg_catalog.pg_has_role('phasegate_owner', 'pg_signal_backend', 'MEMBER') THEN
        GRANT pg_signal_backend TO phasegate_owner;
    END IF;
    IF NOT pg_catalog.pg_has_role('phasegate_owner', 'pg_read_all_stats', 'MEMBER') THEN
        GRANT pg_read_all_stats TO phasegate_owner;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'phasegate') THEN
        CREATE SCHEMA phasegate AUTHORIZATION phasegate_owner;
    END IF;
END
$roles$;

-- A function of ours is nobody's to call until it is granted.
ALTER DEFAULT PRIVILEGES FOR ROLE phasegate_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
