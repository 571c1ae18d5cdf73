DROP FUNCTION outbox_apply_statuses(text, text[], uuid[], text[], bytea[], text[], timestamptz[], text[]);
DROP FUNCTION status_rank(text);
DROP FUNCTION outbox_close_unconfirmed(text[], interval);
DROP FUNCTION outbox_sweep(integer);
DROP FUNCTION outbox_record(uuid, uuid[], text[], text[], text[], text[], bytea[], interval[]);
DROP FUNCTION outbox_begin(uuid[], uuid, interval, interval);
DROP FUNCTION lane_sweep();
DROP FUNCTION lane_wake(uuid[], text[]);
DROP FUNCTION lane_settle(uuid[]);
DROP FUNCTION lane_claim(integer, integer, uuid, interval, text[]);
DROP FUNCTION lane_next_allowance(lane, timestamptz);
DROP FUNCTION lane_allowance(lane, timestamptz);
DROP FUNCTION refuse_change() CASCADE;

-- The keys: first those that point at others.
ALTER TABLE customer DROP CONSTRAINT customer_business_fk;
ALTER TABLE customer_address DROP CONSTRAINT customer_address_customer_fk;
ALTER TABLE suppression DROP CONSTRAINT suppression_business_fk;
ALTER TABLE membership DROP CONSTRAINT membership_business_fk, DROP CONSTRAINT membership_user_fk;
ALTER TABLE api_key DROP CONSTRAINT api_key_business_fk;
ALTER TABLE customer_consents DROP CONSTRAINT customer_consents_customer_fk;
ALTER TABLE consent_event DROP CONSTRAINT consent_event_customer_fk;
ALTER TABLE consent_text DROP CONSTRAINT consent_text_business_fk;
ALTER TABLE channel_connection DROP CONSTRAINT channel_connection_business_fk;
ALTER TABLE channel_template DROP CONSTRAINT channel_template_business_fk;
ALTER TABLE lane DROP CONSTRAINT lane_business_fk;
ALTER TABLE lane_health DROP CONSTRAINT lane_health_business_fk;
ALTER TABLE event DROP CONSTRAINT event_business_fk;
ALTER TABLE decision DROP CONSTRAINT decision_event_fk;
ALTER TABLE notification_outbox DROP CONSTRAINT outbox_customer_fk, DROP CONSTRAINT outbox_event_fk;
ALTER TABLE send_attempt DROP CONSTRAINT send_attempt_outbox_fk;
ALTER TABLE status_update DROP CONSTRAINT status_update_outbox_fk;
ALTER TABLE alert DROP CONSTRAINT alert_business_fk;
ALTER TABLE business DROP CONSTRAINT business_mode_check, DROP CONSTRAINT business_ref_check;
ALTER TABLE customer DROP CONSTRAINT customer_ref_key, DROP CONSTRAINT customer_business_key;
ALTER TABLE customer_address DROP CONSTRAINT customer_address_business_key, DROP CONSTRAINT customer_address_key, DROP CONSTRAINT customer_address_kind_check;
ALTER TABLE suppression DROP CONSTRAINT suppression_key;
ALTER TABLE user_session DROP CONSTRAINT user_session_token_key;
ALTER TABLE membership DROP CONSTRAINT membership_key, DROP CONSTRAINT membership_role_check, DROP CONSTRAINT membership_place_check;
ALTER TABLE api_key DROP CONSTRAINT api_key_mode_check;
ALTER TABLE customer_consents DROP CONSTRAINT customer_consents_key, DROP CONSTRAINT customer_consents_source_check, DROP CONSTRAINT customer_consents_purpose_check, DROP CONSTRAINT customer_consents_opt_in_check;
ALTER TABLE consent_event DROP CONSTRAINT consent_event_source_check, DROP CONSTRAINT consent_event_purpose_check, DROP CONSTRAINT consent_event_action_check;
ALTER TABLE consent_text DROP CONSTRAINT consent_text_key;
ALTER TABLE channel_connection DROP CONSTRAINT channel_connection_account_key, DROP CONSTRAINT channel_connection_state_check;
ALTER TABLE channel_template DROP CONSTRAINT channel_template_key, DROP CONSTRAINT channel_template_category_check;
ALTER TABLE lane DROP CONSTRAINT lane_key, DROP CONSTRAINT lane_state_check, DROP CONSTRAINT lane_caps_check;
ALTER TABLE lane_health DROP CONSTRAINT lane_health_key;
ALTER TABLE event DROP CONSTRAINT event_business_key, DROP CONSTRAINT event_key;
ALTER TABLE idempotency_key DROP CONSTRAINT idempotency_key_key;
ALTER TABLE decision DROP CONSTRAINT decision_outcome_check;
ALTER TABLE notification_outbox DROP CONSTRAINT outbox_business_key, DROP CONSTRAINT outbox_status_check, DROP CONSTRAINT outbox_phase_check, DROP CONSTRAINT outbox_purpose_check, DROP CONSTRAINT outbox_kind_check, DROP CONSTRAINT outbox_retry_check, DROP CONSTRAINT outbox_lease_check, DROP CONSTRAINT outbox_due_check;
ALTER TABLE send_attempt DROP CONSTRAINT send_attempt_key;
ALTER TABLE provider_inbox DROP CONSTRAINT provider_inbox_state_check;
ALTER TABLE inbox_dedupe DROP CONSTRAINT inbox_dedupe_key;
ALTER TABLE inbox_counter DROP CONSTRAINT inbox_counter_key;
ALTER TABLE alert DROP CONSTRAINT alert_state_check;
DROP INDEX
    customer_address_hash,
    customer_address_customer,
    login_attempt_key,
    audit_log_business,
    consent_event_customer,
    channel_connection_business,
    lane_ready,
    event_meaning,
    event_booking,
    idempotency_key_age,
    decision_event,
    decision_notification,
    outbox_first,
    outbox_again,
    outbox_lease,
    outbox_unconfirmed,
    outbox_useful,
    outbox_provider,
    outbox_status,
    outbox_customer,
    outbox_booking,
    outbox_notice,
    send_attempt_lease,
    status_update_notification,
    provider_inbox_waiting,
    inbox_dedupe_age,
    parked_status_until,
    alert_open;
