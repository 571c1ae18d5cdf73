DROP TRIGGER callback_suspended_at_once ON lane_health;
DROP TRIGGER callback_suspended ON lane_health;
CREATE TRIGGER callback_suspended AFTER UPDATE ON lane_health FOR EACH ROW
    WHEN ((OLD.suspended_at IS NULL) <> (NEW.suspended_at IS NULL))
    EXECUTE FUNCTION callback_tell_suspension();
GRANT CREATE ON SCHEMA public TO patchbay_engine;
SET LOCAL ROLE patchbay_engine;
CREATE OR REPLACE FUNCTION callback_tell_suspension() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM callback_write(
        ARRAY[NEW.business_id],
        ARRAY[CASE WHEN NEW.suspended_at IS NULL THEN 'channel.resumed'
                   ELSE 'channel.suspended' END],
        ARRAY['channel'], ARRAY[NULL::uuid], ARRAY[0],
        ARRAY[jsonb_build_object(
            'channel', NEW.channel,
            'code', CASE WHEN NEW.suspended_at IS NOT NULL THEN 'too-many-failures' END)],
        ARRAY[clock_timestamp()]);
    RETURN NULL;
END $$;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;
