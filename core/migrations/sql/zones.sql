-- A lane's day is the business's own: it follows when the business moves to another time zone.
-- What was sent today counts on, so that no move makes room for more than the cap of one day.
CREATE FUNCTION lane_follow_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE lane l SET
        day_count = CASE WHEN l.day = (v_now AT TIME ZONE l.tz)::date THEN l.day_count ELSE 0 END,
        day = (v_now AT TIME ZONE NEW.timezone)::date,
        tz = NEW.timezone
    WHERE l.business_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER business_zone AFTER UPDATE OF timezone ON business
    FOR EACH ROW WHEN (OLD.timezone IS DISTINCT FROM NEW.timezone)
    EXECUTE FUNCTION lane_follow_zone();

-- Businesses may not write lanes; the move is made in the engine's rights.
GRANT CREATE ON SCHEMA public TO patchbay_engine;
ALTER FUNCTION lane_follow_zone() OWNER TO patchbay_engine;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;

-- What is coming up for a business is looked for by the start of its bookings.
CREATE INDEX booking_plan_upcoming ON booking_plan (business_id, starts_at)
    WHERE state = 'active';
