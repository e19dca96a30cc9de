-- pg_cron lives in the database that `cron.database_name` names. As in Supabase's image, postgres may schedule and look, and
-- changes jobs only through cron's own functions.
select current_database() = current_setting('cron.database_name') as here \gset
\if :here
create extension pg_cron with schema pg_catalog;
grant usage on schema cron to postgres with grant option;
grant all on all functions in schema cron to postgres with grant option;
grant select on cron.job to postgres with grant option;
grant select, delete on cron.job_run_details to postgres with grant option;
\endif
