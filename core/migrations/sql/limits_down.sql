-- Back to the functions of before, and without the keys.
DROP FUNCTION outbox_resend_unconfirmed(interval);
DROP FUNCTION recipient_slow(uuid[], interval[]);
DROP FUNCTION recipient_count(uuid[], boolean[]);
DROP FUNCTION outbox_gate(uuid[], uuid);
DROP FUNCTION lane_rest_all(text, interval);
DROP FUNCTION lane_rest(uuid[], text[], interval[]);
DROP FUNCTION lane_hold(uuid, text);
DROP FUNCTION lane_refresh(uuid, text);
DROP FUNCTION lane_is_paused(uuid, text);
DROP FUNCTION lane_probe();
DROP FUNCTION lane_judge(uuid[], text[], text[]);

CREATE OR REPLACE FUNCTION lane_allowance(l lane, p_now timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN (l).cap_minute <= 32 THEN greatest(0, (l).cap_minute - (
            SELECT count(*)::int FROM unnest((l).recent) AS r(at)
            WHERE r.at > p_now - interval '62 s'))
        ELSE floor(least((l).burst::float8, (l).tokens
            + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
            * ((l).cap_minute - (l).burst) / 62.0))::int
    END
$$;

CREATE OR REPLACE FUNCTION lane_next_allowance(l lane, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN lane_allowance(l, p_now) >= 1 THEN p_now
        WHEN (l).cap_minute <= 32 THEN coalesce((
            SELECT r.at + interval '62 s' FROM unnest((l).recent) AS r(at)
            ORDER BY r.at DESC OFFSET (l).cap_minute - 1 LIMIT 1), p_now)
        ELSE p_now + make_interval(secs => greatest(0.001, (1 - least((l).burst::float8,
            (l).tokens + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
            * ((l).cap_minute - (l).burst) / 62.0)) * 62.0
            / greatest((l).cap_minute - (l).burst, 1)))
    END
$$;

CREATE OR REPLACE FUNCTION outbox_close_unconfirmed(p_channels text[], p_grace interval)
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE sql VOLATILE AS $$
    WITH old AS MATERIALIZED (
        SELECT o.id FROM notification_outbox o
        WHERE o.phase = 'unconfirmed' AND o.channel = ANY (p_channels)
          AND o.begun_at < clock_timestamp() - p_grace
        ORDER BY o.id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE notification_outbox o SET phase = 'final', status = 'failed',
        reason = 'unknown-outcome', failed_at = clock_timestamp(), sequence = o.sequence + 1,
        updated_at = clock_timestamp()
    FROM old WHERE o.id = old.id
    RETURNING o.id, o.business_id, o.channel::text
$$;

DROP INDEX recipient_pace_day;
ALTER TABLE recipient_pace
    DROP CONSTRAINT recipient_pace_key, DROP CONSTRAINT recipient_pace_business_fk;
ALTER TABLE sending_pause
    DROP CONSTRAINT sending_pause_key, DROP CONSTRAINT sending_pause_business_fk;
