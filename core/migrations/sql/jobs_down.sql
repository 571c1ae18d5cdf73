DROP INDEX job_fault_line;
DROP INDEX job_kind;
DROP INDEX job_open;
ALTER TABLE job_fault DROP CONSTRAINT job_fault_job_fk;
ALTER TABLE job_part DROP CONSTRAINT job_part_key, DROP CONSTRAINT job_part_job_fk;
ALTER TABLE job
    DROP CONSTRAINT job_lease_check, DROP CONSTRAINT job_state_check,
    DROP CONSTRAINT job_business_key, DROP CONSTRAINT job_business_fk;
