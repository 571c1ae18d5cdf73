-- The way down: the functions and indexes as they were. What reads the ring sorts it itself.
DROP INDEX outbox_provider;
CREATE INDEX outbox_provider ON notification_outbox (provider_message_hash);
CREATE INDEX outbox_booking ON notification_outbox (business_id, booking_ref)
    WHERE phase <> 'final';

CREATE OR REPLACE FUNCTION lane_allowance(l lane, p_now timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN (l).rest_until > p_now THEN 0
        WHEN (l).reason = 'probing' AND (l).refilled_at > p_now - interval '60 s' THEN 0
        ELSE least(CASE WHEN (l).reason = 'probing' THEN 1 END, CASE
            WHEN (l).cap_minute <= 32 THEN greatest(0, (l).cap_minute - (
                SELECT count(*)::int FROM unnest((l).recent) AS r(at)
                WHERE r.at > p_now - interval '62 s'))
            -- A cap that was changed may leave the bucket with less than nothing.
            ELSE greatest(0, floor(least((l).burst::float8, (l).tokens
                + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
                * ((l).cap_minute - (l).burst) / 62.0))::int) END)
    END
$$;

CREATE OR REPLACE FUNCTION lane_next_allowance(l lane, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN lane_allowance(l, p_now) >= 1 THEN p_now ELSE greatest(
        (l).rest_until,
        CASE WHEN (l).reason = 'probing' THEN (l).refilled_at + interval '60 s' END,
        CASE
            WHEN (l).cap_minute <= 32 THEN coalesce((
                SELECT r.at + interval '62 s' FROM unnest((l).recent) AS r(at)
                ORDER BY r.at DESC OFFSET (l).cap_minute - 1 LIMIT 1), p_now)
            ELSE p_now + make_interval(secs => greatest(0.001, (1 - least((l).burst::float8,
                (l).tokens
                + extract(epoch FROM greatest(p_now - (l).refilled_at, interval '0'))::float8
                * ((l).cap_minute - (l).burst) / 62.0)) * 62.0
                / greatest((l).cap_minute - (l).burst, 1))) END) END
$$;

CREATE OR REPLACE FUNCTION lane_claim(
    p_lanes integer, p_quantum integer, p_token uuid, p_lease interval, p_channels text[])
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_lanes uuid[];
    v_now timestamptz := clock_timestamp();
BEGIN
    SELECT array_agg(s.id) INTO v_lanes FROM (
        SELECT l.id FROM lane l
        WHERE l.state = 'active' AND l.next_at <= v_now AND l.channel = ANY (p_channels)
        ORDER BY l.next_at LIMIT p_lanes
        FOR NO KEY UPDATE SKIP LOCKED) s;
    IF v_lanes IS NULL THEN
        RETURN;
    END IF;

    v_now := clock_timestamp();
    RETURN QUERY
    WITH allowed AS MATERIALIZED (
        SELECT l.id AS lane_id, l.business_id, l.channel,
               least(p_quantum, lane_allowance(l, v_now)) AS minute_left,
               CASE WHEN l.day = (v_now AT TIME ZONE l.tz)::date
                    THEN greatest(0, l.cap_day - l.day_count) ELSE l.cap_day END AS day_left
        FROM lane l WHERE l.id = ANY (v_lanes)
    ), again AS MATERIALIZED (
        SELECT a.lane_id, a.minute_left, o.id, o.next_retry_at, false AS first
        FROM allowed a CROSS JOIN LATERAL (
            SELECT o.id, o.next_retry_at FROM notification_outbox o
            WHERE o.business_id = a.business_id AND o.channel = a.channel
              AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL
              AND o.next_retry_at <= v_now
            ORDER BY o.next_retry_at, o.id LIMIT a.minute_left
            FOR NO KEY UPDATE SKIP LOCKED) o
    ), firsts AS MATERIALIZED (
        SELECT a.lane_id, a.minute_left, o.id, o.next_retry_at, true AS first
        FROM allowed a CROSS JOIN LATERAL (
            SELECT o.id, o.next_retry_at FROM notification_outbox o
            WHERE o.business_id = a.business_id AND o.channel = a.channel
              AND o.phase = 'waiting' AND o.first_claimed_at IS NULL
              AND o.next_retry_at <= v_now
            ORDER BY o.next_retry_at, o.id LIMIT least(a.minute_left, a.day_left)
            FOR NO KEY UPDATE SKIP LOCKED) o
    ), picked AS MATERIALIZED (
        SELECT s.lane_id, s.id, s.first FROM (
            SELECT u.*, row_number() OVER (
                PARTITION BY u.lane_id ORDER BY u.next_retry_at, u.id) AS place
            FROM (SELECT * FROM again UNION ALL SELECT * FROM firsts) u) s
        WHERE s.place <= s.minute_left
    ), taken AS (
        UPDATE notification_outbox o
        SET phase = 'leased', lease_token = p_token, lease_until = v_now + p_lease,
            claimed_at = v_now, first_claimed_at = coalesce(o.first_claimed_at, v_now),
            updated_at = v_now
        FROM picked p WHERE o.id = p.id AND o.phase = 'waiting'
        RETURNING o.id, o.business_id, o.channel, p.lane_id, p.first
    ), spent AS (
        SELECT t.lane_id, count(*)::int AS n, count(*) FILTER (WHERE t.first)::int AS firsts
        FROM taken t GROUP BY t.lane_id
    ), paid AS (
        UPDATE lane l
        SET recent = CASE WHEN l.cap_minute <= 32 THEN ARRAY(
                SELECT r.at FROM (
                    SELECT u.at FROM unnest(l.recent) AS u(at) WHERE u.at > v_now - interval '62 s'
                    UNION ALL SELECT v_now FROM generate_series(1, s.n)) r
                ORDER BY r.at DESC LIMIT 32)
            ELSE '{}' END,
            tokens = CASE WHEN l.cap_minute <= 32 THEN 0 ELSE least(l.burst::float8, l.tokens
                + extract(epoch FROM greatest(v_now - l.refilled_at, interval '0'))::float8
                * (l.cap_minute - l.burst) / 62.0) - s.n END,
            refilled_at = v_now,
            day_count = s.firsts + CASE WHEN l.day = (v_now AT TIME ZONE l.tz)::date
                THEN l.day_count ELSE 0 END,
            day = (v_now AT TIME ZONE l.tz)::date
        FROM spent s WHERE l.id = s.lane_id
        RETURNING l.id
    )
    SELECT t.id, t.business_id, t.channel::text FROM taken t;

    PERFORM lane_settle(v_lanes);
END $$;

CREATE OR REPLACE FUNCTION lane_settle(p_lanes uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE lane l
    SET next_at = greatest(
        least(
            coalesce(n.again, 'infinity'),
            CASE WHEN l.day = (v_now AT TIME ZONE l.tz)::date AND l.day_count >= l.cap_day
                 THEN greatest(coalesce(n.first, 'infinity'),
                     ((v_now AT TIME ZONE l.tz)::date + 1)::timestamp AT TIME ZONE l.tz)
                 ELSE coalesce(n.first, 'infinity') END),
        lane_next_allowance(l, v_now))
    FROM (
        SELECT x.id,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NULL) AS first,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL) AS again
        FROM lane x WHERE x.id = ANY (p_lanes)) n
    WHERE l.id = n.id;
END $$;

CREATE OR REPLACE FUNCTION lane_wake(p_businesses uuid[], p_channels text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_woken integer;
BEGIN
    PERFORM 1 FROM lane l
    JOIN unnest(p_businesses, p_channels) AS k(business_id, channel)
      ON l.business_id = k.business_id AND l.channel = k.channel
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l;
    UPDATE lane l SET next_at = n.due
    FROM (
        SELECT x.id, (
            SELECT min(o.next_retry_at) FROM notification_outbox o
            WHERE o.business_id = x.business_id AND o.channel = x.channel
              AND o.phase = 'waiting') AS due
        FROM lane x JOIN unnest(p_businesses, p_channels) AS k(business_id, channel)
          ON x.business_id = k.business_id AND x.channel = k.channel) n
    WHERE l.id = n.id AND n.due IS NOT NULL AND l.next_at > n.due;
    GET DIAGNOSTICS v_woken = ROW_COUNT;
    RETURN v_woken;
END $$;

CREATE OR REPLACE FUNCTION lane_sweep() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_lanes uuid[];
BEGIN
    SELECT array_agg(s.id) INTO v_lanes FROM (
        SELECT l.id FROM lane l
        WHERE l.state = 'active' AND l.next_at > v_now + interval '5 s' AND EXISTS (
            SELECT FROM notification_outbox o
            WHERE o.business_id = l.business_id AND o.channel = l.channel
              AND o.phase = 'waiting' AND o.next_retry_at <= v_now)
        ORDER BY l.business_id, l.channel LIMIT 500
        FOR NO KEY UPDATE SKIP LOCKED) s;
    IF v_lanes IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM lane_settle(v_lanes);
    RETURN cardinality(v_lanes);
END $$;

DROP FUNCTION lane_turn(timestamptz, timestamptz, boolean, text, timestamptz, timestamptz);
DROP FUNCTION lane_room_at(
    integer, integer, timestamptz[], float8, timestamptz, text, timestamptz, timestamptz);
DROP FUNCTION lane_room(
    integer, integer, timestamptz[], float8, timestamptz, text, timestamptz, timestamptz);
DROP FUNCTION lane_bucket(float8, timestamptz, integer, integer, timestamptz);
