-- Keys, allowed values and indexes that Piccolo's tables cannot say.
-- Every key that could tell of a foreign row begins with the business.

ALTER TABLE business
    ADD CONSTRAINT business_mode_check CHECK (mode IN ('live', 'test')),
    ADD CONSTRAINT business_ref_check CHECK (ref ~ '^[A-Za-z0-9._:-]{1,64}$');

ALTER TABLE customer
    ADD CONSTRAINT customer_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT customer_ref_key UNIQUE (business_id, ref),
    ADD CONSTRAINT customer_business_key UNIQUE (business_id, id);

ALTER TABLE customer_address
    ADD CONSTRAINT customer_address_customer_fk
        FOREIGN KEY (business_id, customer_id) REFERENCES customer (business_id, id),
    ADD CONSTRAINT customer_address_business_key UNIQUE (business_id, id),
    ADD CONSTRAINT customer_address_key UNIQUE (business_id, kind, address_hash, customer_id),
    ADD CONSTRAINT customer_address_kind_check CHECK (kind IN ('phone', 'email', 'bsuid'));
CREATE INDEX customer_address_hash ON customer_address (business_id, address_hash);
CREATE INDEX customer_address_customer ON customer_address (business_id, customer_id);

ALTER TABLE suppression
    ADD CONSTRAINT suppression_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT suppression_key UNIQUE (business_id, channel, address_hash);

ALTER TABLE user_session ADD CONSTRAINT user_session_token_key UNIQUE (token);
CREATE INDEX login_attempt_key ON login_attempt (key_hash, at);
ALTER TABLE membership
    ADD CONSTRAINT membership_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT membership_user_fk FOREIGN KEY (user_id) REFERENCES app_user (id) ON DELETE CASCADE,
    ADD CONSTRAINT membership_key UNIQUE NULLS NOT DISTINCT (user_id, business_id),
    ADD CONSTRAINT membership_role_check CHECK (role IN (
        'owner', 'manager', 'viewer', 'privacy_officer', 'support',
        'platform_operator', 'platform_admin')),
    ADD CONSTRAINT membership_place_check CHECK (
        (business_id IS NULL) = (role IN ('platform_operator', 'platform_admin')));
ALTER TABLE api_key
    ADD CONSTRAINT api_key_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT api_key_mode_check CHECK (mode IN ('live', 'test'));
CREATE INDEX audit_log_business ON audit_log (business_id, id DESC);

ALTER TABLE customer_consents
    ADD CONSTRAINT customer_consents_customer_fk
        FOREIGN KEY (business_id, customer_id) REFERENCES customer (business_id, id),
    ADD CONSTRAINT customer_consents_key UNIQUE (business_id, customer_id, channel, purpose),
    ADD CONSTRAINT customer_consents_source_check
        CHECK (source IN ('web', 'app', 'whatsapp', 'paper')),
    ADD CONSTRAINT customer_consents_purpose_check
        CHECK (purpose IN ('transactional', 'marketing')),
    ADD CONSTRAINT customer_consents_opt_in_check CHECK (NOT opt_in OR opt_in_at IS NOT NULL);
ALTER TABLE consent_event
    ADD CONSTRAINT consent_event_customer_fk
        FOREIGN KEY (business_id, customer_id) REFERENCES customer (business_id, id),
    ADD CONSTRAINT consent_event_source_check CHECK (source IN ('web', 'app', 'whatsapp', 'paper')),
    ADD CONSTRAINT consent_event_purpose_check CHECK (purpose IN ('transactional', 'marketing')),
    ADD CONSTRAINT consent_event_action_check CHECK (action IN ('grant', 'revoke'));
CREATE INDEX consent_event_customer ON consent_event (business_id, customer_id, id);
ALTER TABLE consent_text
    ADD CONSTRAINT consent_text_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT consent_text_key UNIQUE (business_id, key, version, locale);

ALTER TABLE channel_connection
    ADD CONSTRAINT channel_connection_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT channel_connection_account_key UNIQUE (channel, account_ref),
    ADD CONSTRAINT channel_connection_state_check CHECK (state IN ('active', 'disabled', 'error'));
CREATE INDEX channel_connection_business ON channel_connection (business_id, channel);
ALTER TABLE channel_template
    ADD CONSTRAINT channel_template_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT channel_template_key UNIQUE (business_id, channel, name, language),
    ADD CONSTRAINT channel_template_category_check
        CHECK (category IN ('utility', 'authentication', 'marketing'));

-- No foreign key from the outbox to the lane: its row lock would starve a busy lane.
ALTER TABLE lane
    ADD CONSTRAINT lane_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT lane_key UNIQUE (business_id, channel),
    ADD CONSTRAINT lane_state_check
        CHECK (state IN ('active', 'disabled', 'disconnected', 'suspended', 'killed')),
    ADD CONSTRAINT lane_caps_check CHECK (cap_minute >= 1 AND burst >= 1 AND cap_day >= 0);
ALTER TABLE lane SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0);
CREATE INDEX lane_ready ON lane (next_at) WHERE state = 'active';
ALTER TABLE lane_health
    ADD CONSTRAINT lane_health_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT lane_health_key UNIQUE (business_id, channel);

ALTER TABLE event
    ADD CONSTRAINT event_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT event_business_key UNIQUE (business_id, id),
    ADD CONSTRAINT event_key UNIQUE (business_id, source, external_id);
CREATE UNIQUE INDEX event_meaning ON event (business_id, type, booking_ref, booking_version)
    WHERE booking_version IS NOT NULL;
CREATE INDEX event_booking ON event (business_id, booking_ref, id DESC);
ALTER TABLE idempotency_key ADD CONSTRAINT idempotency_key_key UNIQUE (scope, key);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
ALTER TABLE decision
    ADD CONSTRAINT decision_event_fk
        FOREIGN KEY (business_id, event_id) REFERENCES event (business_id, id),
    ADD CONSTRAINT decision_outcome_check
        CHECK (outcome IN ('queued', 'scheduled', 'suppressed'));
CREATE INDEX decision_event ON decision (business_id, event_id);
CREATE INDEX decision_notification ON decision (business_id, notification_id);

ALTER TABLE notification_outbox
    ADD CONSTRAINT outbox_customer_fk
        FOREIGN KEY (business_id, customer_id) REFERENCES customer (business_id, id),
    ADD CONSTRAINT outbox_event_fk
        FOREIGN KEY (business_id, event_id) REFERENCES event (business_id, id),
    ADD CONSTRAINT outbox_business_key UNIQUE (business_id, id),
    ADD CONSTRAINT outbox_status_check
        CHECK (status IN ('queued', 'sent', 'delivered', 'read', 'failed', 'canceled')),
    ADD CONSTRAINT outbox_phase_check
        CHECK (phase IN ('waiting', 'leased', 'in_flight', 'unconfirmed', 'final')),
    ADD CONSTRAINT outbox_purpose_check CHECK (purpose IN ('transactional', 'marketing')),
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('template', 'text')),
    ADD CONSTRAINT outbox_retry_check CHECK (retry_count >= 0),
    ADD CONSTRAINT outbox_lease_check
        CHECK ((phase IN ('leased', 'in_flight')) = (lease_token IS NOT NULL)),
    ADD CONSTRAINT outbox_due_check CHECK (phase <> 'waiting' OR next_retry_at IS NOT NULL);
ALTER TABLE notification_outbox SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
-- The day is counted at the first claim only, so firsts and repeats are picked apart.
CREATE INDEX outbox_first ON notification_outbox (business_id, channel, next_retry_at, id)
    WHERE phase = 'waiting' AND first_claimed_at IS NULL;
CREATE INDEX outbox_again ON notification_outbox (business_id, channel, next_retry_at, id)
    WHERE phase = 'waiting' AND first_claimed_at IS NOT NULL;
CREATE INDEX outbox_lease ON notification_outbox (lease_until)
    WHERE phase IN ('leased', 'in_flight');
CREATE INDEX outbox_unconfirmed ON notification_outbox (begun_at) WHERE phase = 'unconfirmed';
CREATE INDEX outbox_useful ON notification_outbox (useful_until) WHERE phase = 'waiting';
CREATE INDEX outbox_provider ON notification_outbox (provider_message_hash);
CREATE INDEX outbox_status ON notification_outbox (business_id, status, id DESC);
CREATE INDEX outbox_customer ON notification_outbox (business_id, customer_id, id DESC);
CREATE INDEX outbox_booking ON notification_outbox (business_id, booking_ref)
    WHERE phase <> 'final';
CREATE UNIQUE INDEX outbox_notice ON notification_outbox
    (business_id, booking_ref, rule_key, generation, channel, event_id)
    WHERE booking_ref IS NOT NULL;

ALTER TABLE send_attempt
    ADD CONSTRAINT send_attempt_outbox_fk
        FOREIGN KEY (business_id, notification_id)
        REFERENCES notification_outbox (business_id, id),
    ADD CONSTRAINT send_attempt_key UNIQUE (business_id, notification_id, number);
CREATE INDEX send_attempt_lease ON send_attempt (notification_id, lease_token);
ALTER TABLE status_update
    ADD CONSTRAINT status_update_outbox_fk
        FOREIGN KEY (business_id, notification_id)
        REFERENCES notification_outbox (business_id, id);
CREATE INDEX status_update_notification ON status_update (business_id, notification_id, id);

ALTER TABLE provider_inbox ADD CONSTRAINT provider_inbox_state_check
    CHECK (state IN ('waiting', 'done', 'dead'));
CREATE INDEX provider_inbox_waiting ON provider_inbox (channel, id) WHERE state = 'waiting';
ALTER TABLE inbox_dedupe ADD CONSTRAINT inbox_dedupe_key UNIQUE (channel, dedupe);
CREATE INDEX inbox_dedupe_age ON inbox_dedupe (seen_at);
ALTER TABLE inbox_counter ADD CONSTRAINT inbox_counter_key UNIQUE (channel, kind);
CREATE INDEX parked_status_until ON parked_status (until);

ALTER TABLE alert
    ADD CONSTRAINT alert_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT alert_state_check CHECK (state IN ('open', 'acked', 'resolved'));
CREATE UNIQUE INDEX alert_open ON alert (kind, business_id, subject) NULLS NOT DISTINCT
    WHERE state <> 'resolved';

-- Append-only: not even the engine changes a line of these.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER consent_event_append_only BEFORE UPDATE OR DELETE ON consent_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER consent_event_no_truncate BEFORE TRUNCATE ON consent_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
