-- Lanes, quicker (rulings B1, B2): the same caps and turns for less work. What is new:
-- the allowances are plain expressions, which the planner writes into the statement; a lane is
-- written once per claim, not twice; a wake and the belt look where what waits is indexed.

-- The ring is kept oldest first, so that a binary search counts what is inside the window. The
-- owner, as whom this runs, sees no row behind a forced wall.
ALTER TABLE lane NO FORCE ROW LEVEL SECURITY;
UPDATE lane SET recent = ARRAY(SELECT r.at FROM unnest(recent) AS r(at) ORDER BY r.at)
WHERE cardinality(recent) > 1;
ALTER TABLE lane FORCE ROW LEVEL SECURITY;

-- The bucket of a lane above 32 a minute, as full as it is now.
CREATE FUNCTION lane_bucket(p_tokens float8, p_refilled_at timestamptz, p_burst integer,
                            p_cap integer, p_now timestamptz) RETURNS float8
LANGUAGE sql STABLE AS $$
    SELECT least(p_burst::float8, p_tokens
        + extract(epoch FROM greatest(p_now - p_refilled_at, interval '0'))::float8
        * (p_cap - p_burst) / 62.0)
$$;

-- How many more messages a lane may begin now, of the parts that say so. STABLE and without a
-- subquery: only so is the body written into the statement that calls it.
CREATE FUNCTION lane_room(p_cap integer, p_burst integer, p_recent timestamptz[], p_tokens float8,
    p_refilled_at timestamptz, p_reason text, p_rest timestamptz, p_now timestamptz)
RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p_rest > p_now THEN 0
        WHEN p_reason = 'probing' AND p_refilled_at > p_now - interval '60 s' THEN 0
        ELSE least(CASE WHEN p_reason = 'probing' THEN 1 END, CASE
            WHEN p_cap <= 32 THEN greatest(0, p_cap - cardinality(p_recent)
                + width_bucket(p_now - interval '62 s', p_recent))
            -- A cap that was changed may leave the bucket with less than nothing.
            ELSE greatest(0, floor(lane_bucket(
                p_tokens, p_refilled_at, p_burst, p_cap, p_now))::int) END)
    END
$$;

-- When a lane has room again: now, or when its rest, its trial or its minute is over.
CREATE FUNCTION lane_room_at(p_cap integer, p_burst integer, p_recent timestamptz[],
    p_tokens float8, p_refilled_at timestamptz, p_reason text, p_rest timestamptz,
    p_now timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN lane_room(p_cap, p_burst, p_recent, p_tokens, p_refilled_at, p_reason, p_rest,
            p_now) >= 1 THEN p_now
        ELSE greatest(p_rest,
            CASE WHEN p_reason = 'probing' THEN p_refilled_at + interval '60 s' END,
            CASE
                WHEN p_cap <= 32 THEN coalesce(
                    p_recent[cardinality(p_recent) - p_cap + 1] + interval '62 s', p_now)
                ELSE p_now + make_interval(secs => greatest(0.001, (1 - lane_bucket(
                    p_tokens, p_refilled_at, p_burst, p_cap, p_now)) * 62.0
                    / greatest(p_cap - p_burst, 1))) END)
    END
$$;

-- The same of a whole lane.
CREATE OR REPLACE FUNCTION lane_allowance(l lane, p_now timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT lane_room((l).cap_minute, (l).burst, (l).recent, (l).tokens, (l).refilled_at,
        (l).reason, (l).rest_until, p_now)
$$;
CREATE OR REPLACE FUNCTION lane_next_allowance(l lane, p_now timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT lane_room_at((l).cap_minute, (l).burst, (l).recent, (l).tokens, (l).refilled_at,
        (l).reason, (l).rest_until, p_now)
$$;

-- When a lane has its next turn: with the next row that waits, not before the day allows a first
-- one, and not before there is room.
CREATE FUNCTION lane_turn(p_first timestamptz, p_again timestamptz, p_day_over boolean,
    p_tz text, p_room timestamptz, p_now timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT greatest(p_room, least(
        coalesce(p_again, 'infinity'),
        CASE WHEN p_day_over THEN greatest(coalesce(p_first, 'infinity'),
                 ((p_now AT TIME ZONE p_tz)::date + 1)::timestamp AT TIME ZONE p_tz)
             ELSE coalesce(p_first, 'infinity') END))
$$;

-- Claim: lock lanes -> pick -> pay and settle. Three statements in one call: each has its own
-- snapshot, so that the settling sees every row that was committed before the lane was locked.
-- Nothing is paid where it is picked: a row that its own transaction writes twice is checked
-- against its foreign keys, and leaves two dead versions instead of one.
CREATE OR REPLACE FUNCTION lane_claim(
    p_lanes integer, p_quantum integer, p_token uuid, p_lease interval, p_channels text[])
RETURNS TABLE (id uuid, business_id uuid, channel text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_lanes uuid[];
    v_now timestamptz := clock_timestamp();
    v_ids uuid[];
    v_businesses uuid[];
    v_channels text[];
    v_turns uuid[];
    v_firsts boolean[];
    v_then timestamptz;
BEGIN
    SELECT array_agg(s.id) INTO v_lanes FROM (
        SELECT l.id FROM lane l
        WHERE l.state = 'active' AND l.next_at <= v_now AND l.channel = ANY (p_channels)
        ORDER BY l.next_at LIMIT p_lanes
        FOR NO KEY UPDATE SKIP LOCKED) s;
    IF v_lanes IS NULL THEN
        RETURN;
    END IF;

    -- Nobody waits for the disk here. A claim that a crash forgets was never begun: a begin that
    -- is on the disk has the claim before it in the log.
    PERFORM set_config('synchronous_commit', 'off', true);
    v_now := clock_timestamp();
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
    )
    SELECT array_agg(t.id), array_agg(t.business_id), array_agg(t.channel::text),
           array_agg(t.lane_id), array_agg(t.first)
    INTO v_ids, v_businesses, v_channels, v_turns, v_firsts FROM taken t;

    v_then := clock_timestamp();
    WITH spent AS MATERIALIZED (
        SELECT t.lane_id, count(*)::int AS n, count(*) FILTER (WHERE t.first)::int AS firsts
        FROM unnest(v_turns, v_firsts) AS t(lane_id, first) GROUP BY t.lane_id
    ), paid AS MATERIALIZED (
        SELECT x.id, x.cap_minute, x.burst, x.reason, x.rest_until, x.cap_day, x.tz,
            CASE WHEN s.n IS NULL THEN x.recent
                 WHEN x.cap_minute > 32 THEN '{}'
                 -- A clock that was set back must not put the ring out of order.
                 ELSE x.recent[width_bucket(v_now - interval '62 s', x.recent) + 1 :]
                     || array_fill(greatest(v_now, x.recent[cardinality(x.recent)]), ARRAY[s.n])
                 END AS recent,
            CASE WHEN s.n IS NULL THEN x.tokens
                 WHEN x.cap_minute <= 32 THEN 0
                 ELSE lane_bucket(x.tokens, x.refilled_at, x.burst, x.cap_minute, v_now) - s.n
                 END AS tokens,
            CASE WHEN s.n IS NULL THEN x.refilled_at ELSE v_now END AS refilled_at,
            CASE WHEN s.n IS NULL THEN x.day ELSE (v_now AT TIME ZONE x.tz)::date END AS day,
            CASE WHEN s.n IS NULL THEN x.day_count ELSE s.firsts + CASE
                WHEN x.day = (v_now AT TIME ZONE x.tz)::date THEN x.day_count ELSE 0 END
                END AS day_count,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NULL) AS first,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL) AS again
        FROM lane x LEFT JOIN spent s ON s.lane_id = x.id WHERE x.id = ANY (v_lanes)
    )
    UPDATE lane l
    SET recent = p.recent, tokens = p.tokens, refilled_at = p.refilled_at, day = p.day,
        day_count = p.day_count,
        next_at = lane_turn(p.first, p.again,
            p.day = (v_then AT TIME ZONE p.tz)::date AND p.day_count >= p.cap_day, p.tz,
            lane_room_at(p.cap_minute, p.burst, p.recent, p.tokens, p.refilled_at, p.reason,
                p.rest_until, v_then), v_then)
    FROM paid p WHERE l.id = p.id;
    RETURN QUERY SELECT * FROM unnest(v_ids, v_businesses, v_channels);
END $$;

-- Set the next turn of locked lanes from which nothing was claimed.
CREATE OR REPLACE FUNCTION lane_settle(p_lanes uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    WITH next AS MATERIALIZED (
        SELECT x.id,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NULL) AS first,
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL) AS again
        FROM lane x WHERE x.id = ANY (p_lanes)
    )
    UPDATE lane l
    SET next_at = lane_turn(n.first, n.again,
        l.day = (v_now AT TIME ZONE l.tz)::date AND l.day_count >= l.cap_day, l.tz,
        lane_next_allowance(l, v_now), v_now)
    FROM next n WHERE l.id = n.id;
END $$;

-- Wake, as before, but what waits is looked for where it is indexed: in two halves (ADR 17). One
-- question over both walked every message of the business.
CREATE OR REPLACE FUNCTION lane_wake(p_businesses uuid[], p_channels text[]) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_woken integer;
BEGIN
    PERFORM 1 FROM lane l
    JOIN unnest(p_businesses, p_channels) AS k(business_id, channel)
      ON l.business_id = k.business_id AND l.channel = k.channel
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE OF l;
    WITH next AS MATERIALIZED (
        SELECT x.id, least(
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NULL),
            (SELECT min(o.next_retry_at) FROM notification_outbox o
             WHERE o.business_id = x.business_id AND o.channel = x.channel
               AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL)) AS due
        FROM lane x JOIN unnest(p_businesses, p_channels) AS k(business_id, channel)
          ON x.business_id = k.business_id AND x.channel = k.channel
    )
    UPDATE lane l SET next_at = n.due FROM next n
    WHERE l.id = n.id AND n.due IS NOT NULL AND l.next_at > n.due;
    GET DIAGNOSTICS v_woken = ROW_COUNT;
    RETURN v_woken;
END $$;

-- The belt, the same way: lanes that sleep past a due row although nothing holds them back.
CREATE OR REPLACE FUNCTION lane_sweep() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_lanes uuid[];
BEGIN
    SELECT array_agg(s.id) INTO v_lanes FROM (
        SELECT l.id FROM lane l
        WHERE l.state = 'active' AND l.next_at > v_now + interval '5 s' AND (
            EXISTS (
                SELECT FROM notification_outbox o
                WHERE o.business_id = l.business_id AND o.channel = l.channel
                  AND o.phase = 'waiting' AND o.first_claimed_at IS NULL
                  AND o.next_retry_at <= v_now)
            OR EXISTS (
                SELECT FROM notification_outbox o
                WHERE o.business_id = l.business_id AND o.channel = l.channel
                  AND o.phase = 'waiting' AND o.first_claimed_at IS NOT NULL
                  AND o.next_retry_at <= v_now))
        ORDER BY l.business_id, l.channel LIMIT 500
        FOR NO KEY UPDATE SKIP LOCKED) s;
    IF v_lanes IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM lane_settle(v_lanes);
    RETURN cardinality(v_lanes);
END $$;

-- A message changes its phase three times, and each time every index of its row gets an entry.
-- One was full of messages that have no provider's id yet; one said what outbox_notice says.
DROP INDEX outbox_provider;
CREATE INDEX outbox_provider ON notification_outbox (provider_message_hash)
    WHERE provider_message_hash IS NOT NULL;
DROP INDEX outbox_booking;
