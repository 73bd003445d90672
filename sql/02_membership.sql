-- Whether one role may act as another. Used by everything that asks who is calling.

-- By inheritance or by SET ROLE. False for a role that is missing, as in a database that was
-- restored into another cluster. From PostgreSQL 16 on the role that created another one is a
-- member of it with ADMIN OPTION alone, and may not act as it. Pins no search_path, so that it is
-- inlined; its names were resolved when it was created.
CREATE FUNCTION phasegate.may_act_as(p_role name, p_other text) RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_catalog.pg_has_role(p_role, pg_catalog.to_regrole(p_other)::oid,
    CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000
         THEN 'USAGE, SET' ELSE 'MEMBER' END) IS TRUE;

-- The same for a role's oid: a role that is dropped at the same time raises no error.
CREATE FUNCTION phasegate.is_runner(p_role oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN pg_has_role(p_role, to_regrole('phasegate_runner')::oid,
    CASE WHEN current_setting('server_version_num')::integer >= 160000
         THEN 'USAGE, SET' ELSE 'MEMBER' END) IS TRUE;
