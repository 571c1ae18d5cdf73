-- Keys and allowed values of long work.
ALTER TABLE job
    ADD CONSTRAINT job_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT job_business_key UNIQUE (business_id, id),
    ADD CONSTRAINT job_state_check CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    ADD CONSTRAINT job_lease_check CHECK ((state = 'running') = (lease_token IS NOT NULL));
CREATE INDEX job_open ON job (id) WHERE state IN ('waiting', 'running');
CREATE INDEX job_kind ON job (kind, ended_at DESC);
ALTER TABLE job_part
    ADD CONSTRAINT job_part_job_fk FOREIGN KEY (business_id, job_id)
        REFERENCES job (business_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT job_part_key UNIQUE (business_id, job_id, number);
ALTER TABLE job_fault
    ADD CONSTRAINT job_fault_job_fk FOREIGN KEY (business_id, job_id)
        REFERENCES job (business_id, id) ON DELETE CASCADE;
CREATE INDEX job_fault_line ON job_fault (business_id, job_id, id);
