-- The way back from sandbox.sql.
DROP FUNCTION sandbox_reset(uuid, text[]);
DROP TRIGGER IF EXISTS consent_event_append_only ON consent_event;
CREATE TRIGGER consent_event_append_only BEFORE UPDATE OR DELETE ON consent_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP FUNCTION refuse_ledger_change();
DROP FUNCTION sandbox_empties(uuid);
DROP FUNCTION sandbox_advance(uuid, bigint);
ALTER TABLE business DROP CONSTRAINT business_clock_check;
DROP TRIGGER business_keeps_mode ON business;
DROP FUNCTION refuse_other_mode();
DROP INDEX provider_inbox_test;
DROP INDEX sandbox_message_page;
ALTER TABLE sandbox_message DROP CONSTRAINT sandbox_message_direction_check,
    DROP CONSTRAINT sandbox_message_business_fk;
