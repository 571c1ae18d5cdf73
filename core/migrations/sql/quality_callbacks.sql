-- A channel stops by itself for two reasons, and is told of when the first begins and the last ends.

GRANT CREATE ON SCHEMA public TO patchbay_engine;
SET LOCAL ROLE patchbay_engine;
CREATE OR REPLACE FUNCTION callback_tell_suspension() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_stopped boolean := NEW.suspended_at IS NOT NULL OR NEW.quality_stopped_at IS NOT NULL;
BEGIN
    PERFORM callback_write(
        ARRAY[NEW.business_id],
        ARRAY[CASE WHEN v_stopped THEN 'channel.suspended' ELSE 'channel.resumed' END],
        ARRAY['channel'], ARRAY[NULL::uuid], ARRAY[0],
        ARRAY[jsonb_build_object('channel', NEW.channel, 'code', CASE
            WHEN NEW.quality_stopped_at IS NOT NULL THEN 'quality-low'
            WHEN NEW.suspended_at IS NOT NULL THEN 'too-many-failures' END)],
        ARRAY[clock_timestamp()]);
    RETURN NULL;
END $$;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;

DROP TRIGGER callback_suspended ON lane_health;
CREATE TRIGGER callback_suspended AFTER UPDATE ON lane_health FOR EACH ROW
    WHEN ((OLD.suspended_at IS NULL AND OLD.quality_stopped_at IS NULL)
          <> (NEW.suspended_at IS NULL AND NEW.quality_stopped_at IS NULL))
    EXECUTE FUNCTION callback_tell_suspension();
-- The first row of a lane's health may already say that its quality is low.
CREATE TRIGGER callback_suspended_at_once AFTER INSERT ON lane_health FOR EACH ROW
    WHEN (NEW.suspended_at IS NOT NULL OR NEW.quality_stopped_at IS NOT NULL)
    EXECUTE FUNCTION callback_tell_suspension();
